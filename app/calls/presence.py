"""Who is there and who is free: an otomo is online while a socket of theirs lives, and busy in a call.

Users are told when that changes. The sockets themselves are somebody else's.
"""

from __future__ import annotations

from typing import Literal, Protocol

from app.calls import news
from app.calls.clock import now
from app.calls.journal import Journal
from app.calls.registry import Registry
from app.person import Person

Status = Literal["online", "busy", "offline"]


class Sockets(Protocol):
    """What is asked about people's sockets."""

    def online(self, person: Person) -> bool: ...


class Presence:
    """The status of every otomo that has a socket on this node."""

    def __init__(self, sockets: Sockets, registry: Registry, journal: Journal) -> None:
        self.online = sockets.online
        self._registry = registry
        self._journal = journal
        self._told: dict[str, Status] = {}
        registry.on_busy(self._busy_changed)

    def status(self, otomo_id: str) -> Status:
        otomo = Person("otomo", otomo_id)
        if not self.online(otomo):
            return "offline"
        return "busy" if self._registry.busy(otomo) else "online"

    def socket_changed(self, person: Person, online: bool) -> None:
        """A person's first socket has opened, or the last one closed."""
        if online:
            for call in self._registry.calls_of(person):
                call.life_of(person).had_socket = True
        self._tell(person)

    def _busy_changed(self, person: Person, _busy: bool) -> None:
        self._tell(person)

    def _tell(self, person: Person) -> None:
        if person.role != "otomo":
            return
        status = self.status(person.id)
        if status == self._told.get(person.id, "offline"):
            return
        if status == "offline":
            del self._told[person.id]
        else:
            self._told[person.id] = status
        self._journal.tell(news.otomo_status(person.id, status, now()))
