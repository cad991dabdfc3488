"""The tokens that the program gives a client, requested again whenever one is needed.

Reads only whom a token names and when it expires; the server decides whether it is good.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voiceplane.client.errors import TokenFailed

Token = str | Callable[[], str | Awaitable[str]]
"""A JWT, or a function that returns one. Only a function can return a fresh one when the first has expired."""

EARLY_S = 10.0  # before its end a token counts as expired: a request takes time, and clocks differ


@dataclass(frozen=True, slots=True)
class Subject:
    """The person that a token names. `expires_at` is in seconds since 1970, None where it never does."""

    user_id: str
    role: str
    expires_at: float | None

    @classmethod
    def of(cls, token: str) -> Subject:
        """Read a JWT's payload (RFC 7519 §7.2). Raises ValueError where it names nobody."""
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            user_id, expires_at = str(claims.get("sub") or claims["userId"]), claims.get("exp")
            return cls(user_id, str(claims.get("role", "user")), None if expires_at is None else float(expires_at))
        except (IndexError, ValueError, KeyError, AttributeError, TypeError, binascii.Error) as error:
            raise ValueError("no JWT with a user id in it") from error


class Tokens:
    """The tokens of one client, one after another."""

    def __init__(self, source: Token, now: Callable[[], float] = time.time) -> None:
        """`now` is in seconds since 1970."""
        self._source = source
        self._now = now
        self._token: str | None = None
        self._subject: Subject | None = None
        self._asking = asyncio.Lock()

    @property
    def subject(self) -> Subject:
        """The person that the last token names. Raises TokenFailed before the first one, and where it names nobody."""
        if self._subject is None:
            raise TokenFailed("there is no token that names somebody")
        return self._subject

    async def get(self) -> str:
        """A token that has not expired, as far as can be seen. Raises TokenFailed where the program gives none."""
        async with self._asking:
            if self._token is None or self._is_old():
                self._token = await self._ask()
                try:
                    self._subject = Subject.of(self._token)
                except ValueError:
                    self._subject = None  # the server will refuse it
            return self._token

    def forget(self, refused: str) -> None:
        """Do not use the token `refused` again, where another one can be had."""
        if self._token == refused and not isinstance(self._source, str):
            self._token = None

    def renew(self) -> None:
        """Do not use the last token again."""
        if self._token is not None:
            self.forget(self._token)

    def _is_old(self) -> bool:
        if isinstance(self._source, str) or self._subject is None or self._subject.expires_at is None:
            return False
        return self._subject.expires_at - self._now() < EARLY_S

    async def _ask(self) -> str:
        if isinstance(self._source, str):
            return self._source
        try:
            given = self._source()
            token = given if isinstance(given, str) else await given
        except Exception as error:
            raise TokenFailed(f"no token could be had: {error}") from error
        if not isinstance(token, str) or not token:
            raise TokenFailed("what the program gave is no token")
        return token
