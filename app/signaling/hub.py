"""Which sockets a user has, and who gets which event. Knows no WebSocket protocol and stores nothing.

Who has which sockets is known here and nowhere else, so that a hub over several nodes can replace this one alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from msgspec import Raw, Struct

from app.access.tokens import Claims
from app.person import Person
from app.signaling.limits import SOCKETS_PER_USER, CloseCode
from schemas.base import encode
from schemas.signaling import EventMessage
from schemas.types import Role

PresenceListener = Callable[[Person, bool], None]
PublishListener = Callable[[str, int], None]

_log = logging.getLogger(__name__)


class Event(Struct, frozen=True, gc=False):
    """An event for one person or, where ``to`` is None, for all users. ``seq`` rises for each receiver; ``payload`` is
    JSON text."""

    seq: int
    to: Person | None
    type: str
    payload: bytes

    def encode(self) -> bytes:
        """The message's JSON text."""
        return encode(EventMessage(self.type, Raw(self.payload), self.seq))


class Socket(Protocol):
    """What the hub needs of a socket. Neither method may wait."""

    @property
    def claims(self) -> Claims: ...

    def deliver(self, seq: int, message: bytes) -> None: ...

    def close(self, code: int) -> None:
        """Begin to close; the socket leaves the hub before this returns."""


class Hub:
    """The open sockets of this node, by person."""

    def __init__(self, sockets_per_user: int = SOCKETS_PER_USER) -> None:
        self._sockets_per_user = sockets_per_user
        self._sockets: dict[Person, list[Socket]] = {}  # the oldest first; no entry where there is none
        self._listeners: list[PresenceListener] = []
        self._publish_listeners: list[PublishListener] = []
        self._closed = False
        self.published = 0  # the highest ``seq`` that was published, to whomever

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

    def sockets_of(self, person: Person) -> int:
        return len(self._sockets.get(person, ()))

    def online(self, person: Person) -> bool:
        """Whether the person has a live socket."""
        return person in self._sockets

    def people(self, role: Role) -> list[Person]:
        """All people of that role who are online."""
        return [person for person in self._sockets if person.role == role]

    def on_presence(self, listener: PresenceListener) -> None:
        """Call ``listener(person, online)`` when a person's first socket opens and when the last one closes.

        It is called within :meth:`join` and :meth:`leave`, and must not wait. What it raises is logged.
        """
        self._listeners.append(listener)

    def on_publish(self, listener: PublishListener) -> None:
        """Call ``listener(event_type, sockets)`` after each event; it must be quick and raise nothing."""
        self._publish_listeners.append(listener)

    def publish(self, event: Event, but_not: Collection[Person] = ()) -> None:
        """Hand an event, encoded once, to all sockets of its receivers. Never waits: a socket whose outbox is full is
        closed. ``but_not`` may not have one that is for all users.

        Events for one person must come in the order of their ``seq``: a client that reconnects names the last it saw.
        """
        self.published = max(self.published, event.seq)
        receivers = self._receivers(event, but_not)
        if not receivers:
            return
        message = event.encode()
        for socket in receivers:
            socket.deliver(event.seq, message)
        for listener in self._publish_listeners:
            listener(event.type, len(receivers))

    def _receivers(self, event: Event, but_not: Collection[Person]) -> list[Socket]:
        """The sockets of an event's receivers: a copy, because those that can't take the event leave meanwhile."""
        if event.to is not None:
            return list(self._sockets.get(event.to, ()))
        people = (person for person in self.people("user") if person not in but_not)
        return [socket for person in people for socket in self._sockets[person]]

    def join(self, socket: Socket) -> None:
        """Add a socket. Where a person has too many, the oldest is closed: it is the likeliest to be dead."""
        person = socket.claims.person
        sockets = self._sockets.setdefault(person, [])
        sockets.append(socket)
        if len(sockets) == 1:
            self._notify(person, online=True)
        elif len(sockets) > self._sockets_per_user:
            sockets[0].close(CloseCode.REPLACED)

    def leave(self, socket: Socket) -> None:
        """Remove a socket. A second call does nothing."""
        person = socket.claims.person
        sockets = self._sockets.get(person, [])
        if socket not in sockets:
            return
        sockets.remove(socket)
        if not sockets:
            del self._sockets[person]
            self._notify(person, online=False)

    def close_all(self, code: int = CloseCode.GOING_AWAY) -> None:
        """Begin to close every socket, and take no new one from now on."""
        self._closed = True
        self.disconnect_all(code)

    def disconnect(self, person: Person, code: int, which: Callable[[Claims], bool]) -> None:
        """Begin to close those sockets of a person whose token is such a one."""
        for socket in tuple(self._sockets.get(person, ())):
            if which(socket.claims):
                socket.close(code)

    def disconnect_all(self, code: int) -> None:
        """Begin to close every socket that there is."""
        for sockets in [tuple(each) for each in self._sockets.values()]:
            for socket in sockets:
                socket.close(code)

    def _notify(self, person: Person, *, online: bool) -> None:
        for listener in self._listeners:
            try:
                listener(person, online)
            except Exception:
                _log.exception("a presence listener failed for %s", person)
