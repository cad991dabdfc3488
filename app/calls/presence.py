"""Who is there and who is free: an otomo is online while a socket of theirs lives, and busy in a call.

Whoever asks gets what is so now. Users are told when it changes, but not of every change: a network that comes and goes
changes nothing, and one otomo must not cost the node a message to everybody for each of its sockets. So ``offline`` is
told when it has lasted, and a status at most so often; what is told is what is so then.

The sockets themselves are somebody else's.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Protocol

from app.calls import call_events
from app.calls.journal import Journal
from app.calls.registry import Registry
from app.clock import now
from app.person import Person
from schemas.signaling import OtomoStatusWord


@dataclass(frozen=True, slots=True)
class Pace:
    """When users are told. What runs uses the defaults; tests shorten them."""

    offline_after_s: float = 5.0  # without a socket
    at_most_every_s: float = 1.0  # of one otomo


@dataclass(slots=True)
class Line:
    """What users know of one otomo, and when they are to hear more."""

    told: OtomoStatusWord = "offline"
    told_at: float = -math.inf
    left_at: float = -math.inf
    next_check: asyncio.TimerHandle | None = None

    def due(self, status: OtomoStatusWord, pace: Pace) -> float:
        """When this may be told."""
        due = self.told_at + pace.at_most_every_s
        return max(due, self.left_at + pace.offline_after_s) if status == "offline" else due


class Sockets(Protocol):
    """What is asked about people's sockets."""

    def online(self, person: Person) -> bool: ...


class Presence:
    """The status of every otomo that has a socket on this node. The owner closes it, when no socket is left."""

    def __init__(self, sockets: Sockets, registry: Registry, journal: Journal, pace: Pace | None = None) -> None:
        self.online = sockets.online
        self._registry = registry
        self._journal = journal
        self._pace = pace or Pace()
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, Line] = {}  # of otomos who are there, or were a moment ago
        registry.on_busy(self._busy_changed)

    def status(self, otomo_id: str) -> OtomoStatusWord:
        """As it is now, whatever users were told."""
        otomo = Person("otomo", otomo_id)
        if not self.online(otomo):
            return "offline"
        return "busy" if self._registry.busy(otomo) else "online"

    def close(self) -> None:
        """Tell nothing more."""
        for line in self._lines.values():
            if line.next_check is not None:
                line.next_check.cancel()
        self._lines.clear()

    def socket_changed(self, person: Person, online: bool) -> None:
        """A person's first socket has opened, or the last one closed."""
        if online:
            for call in self._registry.calls_of(person):
                call.liveness_of(person).had_socket = True
        if person.role != "otomo":
            return
        if not online and (line := self._lines.get(person.id)) is not None:
            line.left_at = self._loop.time()
        self._check(person.id)

    def _busy_changed(self, person: Person, _busy: bool) -> None:
        if person.role == "otomo":
            self._check(person.id)

    def _check(self, otomo_id: str) -> None:
        """Tell what is so, where it is not told yet and its time has come; else look again when it has."""
        status, line = self.status(otomo_id), self._lines.get(otomo_id)
        if line is None:
            if status == "offline":  # as users believe anyway
                return
            line = self._lines[otomo_id] = Line()
        if line.next_check is not None:
            line.next_check.cancel()
            line.next_check = None
        due = line.due(status, self._pace)
        if self._loop.time() < due:
            line.next_check = self._loop.call_at(due, self._check, otomo_id)
        elif status != line.told:
            self._announce(otomo_id, line, status)
        elif status == "offline":
            del self._lines[otomo_id]

    def _announce(self, otomo_id: str, line: Line, status: OtomoStatusWord) -> None:
        line.told, line.told_at = status, self._loop.time()
        self._journal.append(call_events.otomo_status(otomo_id, status, now()))
        if status == "offline":  # to be forgotten
            line.next_check = self._loop.call_at(line.due(status, self._pace), self._check, otomo_id)
