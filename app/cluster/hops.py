"""A request from one node to another: the mark by which the other one knows a peer, and that it is not to pass it on.

The mark is signed with the secret of the cluster, over what is asked, and when by the clock of the database, which all
nodes read with their beats: no two machines' clocks are compared. For whom a peer asks stands in the request's own
``Authorization``; or, where there is none because a socket was given a command, in the mark.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from app.person import Person
from schemas.types import Role

HEADER = "X-Voiceplane-Hop"
GOOD_FOR_MS = 30_000


class Hops:
    """Signs and checks marks; ``clock_ms`` is the database's clock."""

    def __init__(self, secret: str, clock_ms: Callable[[], int]) -> None:
        self._key = secret.encode()
        self._clock_ms = clock_ms

    def mark(self, method: str, target: str, person: Person | None = None) -> Mapping[str, str]:
        """The header for a request to ``target``, its path with its query."""
        at, who = str(self._clock_ms()), "" if person is None else f"{person.role}:{person.id}"
        return {HEADER: f"{at} {self._sign(at, method, target, who)} {who}".rstrip()}

    def is_peer(self, mark: str, method: str, target: str) -> bool:
        """Whether the request is a peer's, of this moment."""
        at, _, rest = mark.partition(" ")
        signature, _, who = rest.partition(" ")
        if not at.isascii() or not at.isdigit() or abs(int(at) - self._clock_ms()) > GOOD_FOR_MS:
            return False
        return hmac.compare_digest(signature.encode(), self._sign(at, method, target, who).encode())

    def _sign(self, at: str, method: str, target: str, who: str) -> str:
        what = "\n".join((at, method, target, who))
        return hmac.digest(self._key, what.encode(), "sha256").hex()


def on_behalf_of(mark: str) -> Person | None:
    """The person for whom a peer asks, where the mark names one."""
    role, _, person_id = mark.partition(" ")[2].partition(" ")[2].partition(":")
    roles: dict[str, Role] = {"user": "user", "otomo": "otomo", "admin": "admin"}
    return Person(roles[role], person_id) if role in roles and person_id else None
