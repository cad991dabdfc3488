"""One attempt at a delivery: a POST, and what came of it. Knows no tables and no schedule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from ssl import SSLContext

import aiohttp
from yarl import URL

from app.ledger.deliveries import Taken
from app.webhooks import signing
from app.webhooks.targets import Resolver

TIMEOUT_S = 10.0  # from the beginning to the answer's header
REST_WITHIN_S = 1.0  # for as much of the answer as is kept
EXCERPT_BYTES = 500
KEEPALIVE_S = 4.0  # less than the five seconds after which many servers close a connection that rests
JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answered:
    """``status`` is None where no answer came, and ``text`` then says why; else it is the answer's beginning."""

    status: int | None
    text: str
    took_ms: int

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        return self.status == HTTPStatus.GONE


class Sender:
    """Made by :meth:`open`."""

    def __init__(self, http: aiohttp.ClientSession, resolver: Resolver, timeout_s: float) -> None:
        self._http = http
        self._resolver = resolver
        self._timeout_s = timeout_s

    @classmethod
    @asynccontextmanager
    async def open(
        cls, resolver: Resolver, user_agent: str, *, timeout_s: float = TIMEOUT_S, tls: SSLContext | None = None
    ) -> AsyncIterator[Sender]:
        """``tls`` is for receivers whose certificates the machine does not know; without it they are verified by those
        that it does."""
        connector = aiohttp.TCPConnector(
            limit=0, resolver=resolver, use_dns_cache=False, keepalive_timeout=KEEPALIVE_S, ssl=tls or True
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": user_agent, "Content-Type": JSON},
        ) as http:
            yield cls(http, resolver, timeout_s)

    async def send(self, taken: Taken, now_ms: int) -> Answered:
        """Post a delivery, signed by the endpoint's secrets of that time. No redirect is followed. Raises nothing."""
        began = time.monotonic()
        try:
            status, text = await self._post(taken, now_ms)
        except TimeoutError:
            status, text = None, f"no answer within {self._timeout_s:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            status, text = None, str(error) or type(error).__name__
        return Answered(status, text, round((time.monotonic() - began) * 1000))

    async def _post(self, taken: Taken, now_ms: int) -> tuple[int, str]:
        url = URL(taken.endpoint.url)
        self._resolver.check_literal(url)
        headers = signing.headers(taken.id, now_ms // 1000, taken.body, taken.endpoint.secrets_at(now_ms))
        async with asyncio.timeout(self._timeout_s):
            response = await self._http.post(url, data=taken.body, headers=headers, allow_redirects=False)
        try:
            return response.status, (await beginning(response)).decode("utf-8", "replace")
        finally:
            response.close() if not response.content.at_eof() else response.release()


async def beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of an answer as comes in a moment and is kept. Its status counts, whatever becomes of the rest."""
    text = b""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(REST_WITHIN_S):
            while len(text) < EXCERPT_BYTES and (more := await response.content.read(EXCERPT_BYTES - len(text))):
                text += more
    return text
