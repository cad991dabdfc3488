"""Which sockets a user has, and who gets which event. Knows no WebSocket protocol and stores nothing.

Every question of the kind "who has this socket" is asked here and nowhere else: a hub that spans several nodes takes
the place of this one without anybody noticing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from app.auth import Claims, Role
from app.signaling.limits import SOCKETS_PER_USER, CloseCode

PresenceListener = Callable[[str, bool], None]
PublishListener = Callable[[str, int], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that one user is told. ``seq`` rises per user; ``payload`` is JSON-able, in the wire's spelling."""

    seq: int
    user_id: str
    type: str
    payload: dict[str, Any]

    def encode(self) -> bytes:
        """The message as it goes out."""
        return orjson.dumps({"type": self.type, "payload": self.payload, "seq": self.seq})


class Socket(Protocol):
    """What the hub needs of a socket. Neither method may wait."""

    @property
    def claims(self) -> Claims: ...

    def deliver(self, seq: int, message: bytes) -> None: ...

    def close(self, code: int) -> None:
        """Begin to close; the socket leaves the hub before this returns."""


class Hub:
    """The open sockets of this node, by user."""

    def __init__(self, sockets_per_user: int = SOCKETS_PER_USER) -> None:
        self._sockets_per_user = sockets_per_user
        self._sockets: dict[str, list[Socket]] = {}  # the oldest first; a user without sockets has no entry
        self._listeners: list[PresenceListener] = []
        self._publish_listeners: list[PublishListener] = []
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether :meth:`close_all` was called: no socket may join any more."""
        return self._closed

    @property
    def socket_count(self) -> int:
        return sum(map(len, self._sockets.values()))

    @property
    def user_count(self) -> int:
        return len(self._sockets)

    def sockets_of(self, user_id: str) -> int:
        return len(self._sockets.get(user_id, ()))

    def online(self, user_id: str) -> bool:
        """Whether the user has a live socket."""
        return user_id in self._sockets

    def online_as(self, user_id: str, role: str) -> bool:
        """Whether one of the user's sockets has that role."""
        return any(socket.claims.role == role for socket in self._sockets.get(user_id, ()))

    def users(self, role: Role) -> list[str]:
        """Everybody who is online in that role, for events that go to all."""
        return [user_id for user_id, sockets in self._sockets.items() if any(s.claims.role == role for s in sockets)]

    def on_presence(self, listener: PresenceListener) -> None:
        """Call ``listener(user_id, online)`` when a user's first socket opens and when the last one closes.

        It is called at once, within :meth:`join` and :meth:`leave`, and must not wait. What it raises is logged.
        """
        self._listeners.append(listener)

    def on_publish(self, listener: PublishListener) -> None:
        """Call ``listener(event_type, sockets)`` after each event; it must be quick and raise nothing."""
        self._publish_listeners.append(listener)

    def publish(self, event: Event) -> None:
        """Hand an event to every socket of its user, encoded once. Never waits; a socket that can't take it closes.

        Events of one user must come in the order of their ``seq``: a client that reconnects names the last it saw.

        :raises TypeError: for a payload that is no JSON, before anybody got it.
        """
        sockets = self._sockets.get(event.user_id)
        if sockets is None:
            return
        message = event.encode()
        receivers = tuple(sockets)  # whoever can't take it leaves meanwhile
        for socket in receivers:
            socket.deliver(event.seq, message)
        for listener in self._publish_listeners:
            listener(event.type, len(receivers))

    def join(self, socket: Socket) -> None:
        """Count a socket in. Where a user has too many the oldest is closed: it is the likeliest to be dead."""
        user_id = socket.claims.user_id
        sockets = self._sockets.setdefault(user_id, [])
        sockets.append(socket)
        if len(sockets) == 1:
            self._tell(user_id, online=True)
        elif len(sockets) > self._sockets_per_user:
            sockets[0].close(CloseCode.REPLACED)

    def leave(self, socket: Socket) -> None:
        """Count a socket out; again is harmless."""
        user_id = socket.claims.user_id
        sockets = self._sockets.get(user_id, [])
        if socket not in sockets:
            return
        sockets.remove(socket)
        if not sockets:
            del self._sockets[user_id]
            self._tell(user_id, online=False)

    def close_all(self, code: int = CloseCode.GOING_AWAY) -> None:
        """Begin to close every socket, and take no new one from now on."""
        self._closed = True
        for sockets in [tuple(each) for each in self._sockets.values()]:
            for socket in sockets:
                socket.close(code)

    def _tell(self, user_id: str, *, online: bool) -> None:
        for listener in self._listeners:
            try:
                listener(user_id, online)
            except Exception:
                _log.exception("a presence listener failed for %s", user_id)
