"""Who is there and who is free: an otomo is online while a socket of theirs lives, and busy in a call.

Users are told when that changes. The sockets themselves are somebody else's.
"""

from __future__ import annotations

from typing import Literal, Protocol

from app.calls import news
from app.calls.clock import now
from app.calls.journal import Journal
from app.calls.registry import Registry

Status = Literal["online", "busy", "offline"]


class Sockets(Protocol):
    """What is asked about users' sockets."""

    def online(self, user_id: str) -> bool: ...
    def online_as(self, user_id: str, role: str) -> bool: ...


class Presence:
    """The status of every otomo that has a socket on this node."""

    def __init__(self, sockets: Sockets, registry: Registry, journal: Journal) -> None:
        self.online = sockets.online
        self._sockets = sockets
        self._registry = registry
        self._journal = journal
        self._told: dict[str, Status] = {}
        registry.on_busy(self._busy_changed)

    def is_otomo(self, user_id: str) -> bool:
        """Whether one of the user's sockets has the role ``otomo``."""
        return self._sockets.online_as(user_id, "otomo")

    def status(self, otomo_id: str) -> Status:
        if not self.is_otomo(otomo_id):
            return "offline"
        return "busy" if self._registry.busy(otomo_id) else "online"

    def socket_changed(self, user_id: str, online: bool) -> None:
        """A user's first socket has opened, or the last one closed."""
        if online:
            for call in self._registry.calls_of(user_id):
                call.lives[user_id].had_socket = True
        self._tell(user_id)

    def _busy_changed(self, user_id: str, _busy: bool) -> None:
        self._tell(user_id)

    def _tell(self, user_id: str) -> None:
        status = self.status(user_id)
        if status == self._told.get(user_id, "offline"):
            return
        if status == "offline":
            del self._told[user_id]
        else:
            self._told[user_id] = status
        self._journal.tell(news.otomo_status(user_id, status, now()))
