"""Who is there and who is free: an otomo is online while a socket of theirs lives, busy in a call, and away
where they say so.

A query gets the present status. Users are told of changes, but not of every one: an unsteady network should change
nothing, and an otomo's sockets must not each cost a message to everybody. So ``offline`` is told only after a while,
and an otomo's status at most once in a while; what is told is the status of that moment.

Knows no sockets.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.calls import call_events
from app.calls.call import LiveCall
from app.calls.journal import Journal
from app.calls.registry import Registry
from app.clock import now
from app.person import Person
from schemas.people import OtomoStatusWord


@dataclass(frozen=True, slots=True)
class Pace:
    """When users are told. Nodes use the defaults; tests shorten them."""

    offline_after_s: float = 5.0  # without a socket
    at_most_every_s: float = 1.0  # for one otomo


@dataclass(slots=True)
class Line:
    """What users were told of one otomo, and when that is checked again."""

    told: OtomoStatusWord = "offline"
    told_at: float = -math.inf
    left_at: float = -math.inf
    next_check: asyncio.TimerHandle | None = None

    def due(self, status: OtomoStatusWord, pace: Pace) -> float:
        """When this status may be told, by the event loop's clock."""
        due = self.told_at + pace.at_most_every_s
        return max(due, self.left_at + pace.offline_after_s) if status == "offline" else due


def nobody_is_away(_: str) -> bool:
    return False


class Sockets(Protocol):
    """The questions about people's sockets."""

    def online(self, person: Person) -> bool: ...


class Presence:
    """The status of every otomo with a socket on this node. The owner closes this object when no socket is left."""

    def __init__(
        self,
        sockets: Sockets,
        registry: Registry,
        journal: Journal,
        pace: Pace | None = None,
        is_away: Callable[[str], bool] = nobody_is_away,
    ) -> None:
        self.online = sockets.online
        self._is_away = is_away
        self._registry = registry
        self._journal = journal
        self._pace = pace or Pace()
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, Line] = {}  # of otomos who are online, or were a moment ago
        registry.on_busy(self._busy_changed)

    async def is_online(self, person: Person) -> bool:
        """Whether the person has a socket, on whichever node."""
        return self.online(person)

    def call_stored(self, call: LiveCall) -> None:
        """A call is stored as this node's. What follows from it was seen when it was registered."""

    def status(self, otomo_id: str) -> OtomoStatusWord:
        """The present status, whatever users were told."""
        otomo = Person("otomo", otomo_id)
        if not self.online(otomo):
            return "offline"
        if self._registry.busy(otomo):
            return "busy"
        return "away" if self._is_away(otomo_id) else "online"

    def decided(self, person: Person) -> None:
        """An otomo may be away now, or there again."""
        if person.role == "otomo" and self.online(person):
            self._check(person.id)

    def close(self) -> None:
        """Tell users nothing more."""
        for line in self._lines.values():
            if line.next_check is not None:
                line.next_check.cancel()
        self._lines.clear()

    def socket_changed(self, person: Person, online: bool) -> None:
        """A person's first socket has opened, or the last one closed."""
        if online:
            for call in self._registry.calls_of(person):
                call.liveness_of(person).had_socket = True
        self._changes(person, online)

    def _changes(self, person: Person, online: bool) -> None:
        if person.role != "otomo":
            return
        if not online and (line := self._lines.get(person.id)) is not None:
            line.left_at = self._loop.time()
        self._check(person.id)

    def _busy_changed(self, person: Person, _busy: bool) -> None:
        if person.role == "otomo":
            self._check(person.id)

    def _check(self, otomo_id: str) -> None:
        """Tell the present status, where it is new and may be told; where it may not be told yet, check again when it
        may."""
        status, line = self.status(otomo_id), self._lines.get(otomo_id)
        if line is None:
            if status == "offline":  # which is what users assume
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
