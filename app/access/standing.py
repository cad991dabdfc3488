"""Who is kept out: people who are banned, and tokens that were issued before they were revoked.

In memory, since every request asks. Whoever owns the facts tells :meth:`note` of each change.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from app.errors import Banned, Unauthorized
from app.person import Person


class Standing:
    """``clock`` is in seconds since 1970, as in tokens."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._banned_until: dict[Person, float] = {}  # in seconds; infinite where the ban has no end
        self._revoked_at: dict[Person, float] = {}

    def note(self, person: Person, banned: bool, until_ms: int | None, revoked_at_ms: int | None) -> None:
        """All that is so of a person from now on."""
        if banned:
            self._banned_until[person] = math.inf if until_ms is None else until_ms / 1000
        else:
            self._banned_until.pop(person, None)
        if revoked_at_ms is not None:
            self._revoked_at[person] = revoked_at_ms / 1000
        else:
            self._revoked_at.pop(person, None)

    def is_banned(self, person: Person) -> bool:
        until = self._banned_until.get(person)
        return until is not None and self._clock() < until

    def is_revoked(self, person: Person, issued_at: float | None) -> bool:
        """Whether a token of that age is refused. One that does not say when it was issued is older than any
        revocation. Most signers write whole seconds: one of the same second may have been issued before it."""
        revoked_at = self._revoked_at.get(person)
        return revoked_at is not None and (issued_at is None or issued_at <= revoked_at)

    def check(self, person: Person, issued_at: float | None) -> None:
        """Raises Unauthorized where the token was revoked, Banned where its person is banned."""
        if self.is_revoked(person, issued_at):
            raise Unauthorized("the token was revoked", token_given=True)
        if self.is_banned(person):
            raise Banned(str(person))
