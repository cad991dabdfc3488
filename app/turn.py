"""Short-lived TURN credentials: a time-stamped user name and its HMAC, as coturn's ``use-auth-secret`` checks them
(draft-uberti-behave-turn-rest-00 §2.2). The server that hands them out needs no word with the TURN server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from app.settings import Settings
from schemas.transport import IceServer

LIFETIME_S = 3600  # a call that lasts longer keeps its allocation by refreshing it (RFC 8656 §8)

IceServersFor = Callable[[str], tuple[IceServer, ...] | None]
"""The ICE servers for a user id; None where no TURN server is configured."""


def ice_servers(settings: Settings, clock: Callable[[], float] = time.time) -> IceServersFor:
    secret = settings.turn_secret
    if not settings.turn_urls or secret is None:
        return lambda _user_id: None

    def for_user(user_id: str) -> tuple[IceServer, ...]:
        username = f"{int(clock()) + LIFETIME_S}:{user_id}"
        digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
        return (IceServer(settings.turn_urls, username, base64.b64encode(digest).decode()),)

    return for_user
