"""Short-lived TURN credentials: a time-stamped user name and its HMAC, as coturn's ``use-auth-secret`` checks them
(draft-uberti-behave-turn-rest-00 §2.2). The node and the TURN server share a secret, and need not talk.

A TURN server limits what one user name holds. So a party gets the same name however often it asks within an hour: the
expiry in it is rounded up to a full hour, the next but one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from app.person import Person
from app.settings import Settings
from schemas.transport import IceServer

LIFETIME_S = 3600  # at least, and twice that at most; a longer call keeps its allocation by refreshing it (RFC 8656 §8)

IceServersFor = Callable[[Person], tuple[IceServer, ...] | None]
"""The ICE servers for somebody; None where no TURN server is configured."""


def ice_servers(settings: Settings, clock: Callable[[], float] = time.time) -> IceServersFor:
    secret = settings.turn_secret
    if not settings.turn_urls or secret is None:
        return lambda _person: None

    def for_person(person: Person) -> tuple[IceServer, ...]:
        expires_at = (int(clock()) // LIFETIME_S + 2) * LIFETIME_S
        username = f"{expires_at}:{person.role}:{person.id}"
        digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
        return (IceServer(settings.turn_urls, username, base64.b64encode(digest).decode()),)

    return for_person
