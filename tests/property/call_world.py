"""The real services of one process over stepped time, for models of random lives: who sends is said, not sent."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from app import clock
from app.access.standing import Standing
from app.calls.attempts import Attempts
from app.calls.call import LiveCall
from app.calls.continuity import Continuity
from app.calls.directory import Directory
from app.calls.endings import Endings
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.metering import Meter
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.registry import Registry
from app.calls.service import CallService
from app.calls.timers import CallTimers
from app.ledger import Ledger
from app.ledger.values import Event
from app.media.codecs import codecs_of
from app.media.party_objects import RoomLimits
from app.media.rooms import Rooms
from app.person import Person
from app.tariffs import due_s, due_together
from app.tasks import Tasks
from app.watch.sweeper import Sweeper
from app.watch.watch import Watch
from schemas.tariff import Tariff
from schemas.types import PartyRole
from worker_bridge.pool import Pool

UNIT_S = 20.0
PRICE = 100
TARIFF = Tariff(unit_seconds=UNIT_S, unit_points=PRICE, max_seconds=14_400)
TIMERS = CallTimers()
WINDOW_MS = round(1000 * TIMERS.reconnect_window_s)


class SteppedTime:
    """What ``app.clock`` reads instead of the ``time`` module."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.wall_step_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed_s

    def time_ns(self) -> int:
        return time.time_ns() + int((self.passed_s + self.wall_step_s) * 1e9)


class SocketsSaid:
    """Who has a socket: the model says so."""

    def __init__(self) -> None:
        self.open: set[Person] = set()

    def online(self, person: Person) -> bool:
        return person in self.open

    async def is_connected(self, person: Person) -> bool:
        return person in self.open


@dataclass
class ModelCall:
    """What the reference knows of a call: who sends, when that was proven, and for how long both were there at most.

    Both were there between two proofs of the party that was proven last, where no more lies between them than makes an
    interruption; and not over the loss of a room (``cut``).
    """

    id: str
    user_id: str
    otomo_id: str
    tariff: Tariff
    sending: set[PartyRole] = field(default_factory=set)
    last: dict[PartyRole, float] = field(default_factory=dict)
    both_until: float | None = None
    together_s: float = 0.0

    def prove(self, party: PartyRole, at: float) -> None:
        if not self.last:
            self.both_until = at  # the connection
        self.last[party] = at
        if len(self.last) == 2 and self.both_until is not None:
            both = min(self.last.values())
            step = both - self.both_until
            if (
                0.0 < step <= TIMERS.interrupted_after_s + 2.0
            ):  # a sweep that comes late, and the machine's own slowness
                self.together_s += step
            self.both_until = max(both, self.both_until)

    def cut(self) -> None:
        """What lies between the last proof and the next one was not talked, as both must be heard anew."""
        if self.last:
            self.both_until = clock.now().monotonic

    def billable_units(self) -> int:
        """How many units may be charged at most: none before both were there."""
        units, least = 0, self.tariff.minimum_units
        while len(self.last) == 2 and due_s(self.tariff, units + 1) <= self.together_s + 1e-6:
            units += due_together(self.tariff, units + 1)
        assert units == 0 or units >= least
        return units


class World:
    """One process: its services on a database and a pool that others share."""

    def __init__(self, pool: Pool, sockets: SocketsSaid) -> None:
        self.pool, self.sockets = pool, sockets
        self.told: list[Event] = []
        self.stack = AsyncExitStack()
        self.left: list[LiveCall] = []  # what it had when it froze

    async def open(self, path: str) -> None:
        self.ledger = await self.stack.enter_async_context(Ledger.open(f"sqlite:///{path}/calls.sqlite"))
        recovery = await self.ledger.recover(now_ms=clock.now().utc_ms, window_ms=WINDOW_MS)
        self.told.extend(recovery.events)
        self.journal = Journal(self.ledger, self.told.extend, await self.ledger.latest_seq())
        self.registry = Registry()
        rooms = Rooms(self.pool.place, codecs_of({"audio"}), RoomLimits(1, 1), self.registry.rooms_by_object)
        self.presence = Presence(self.sockets, self.registry, self.journal)
        self.lifecycle = Lifecycle(self.registry, self.journal, TIMERS)
        self.meter = self.lifecycle.meter = Meter(self.journal, self.lifecycle.end_for, self.lifecycle.lose)
        self.endings = self.lifecycle.endings = Endings(
            self.journal, self.lifecycle.end_for, self.meter.decide_due, proven, ask_together_s=0.0
        )
        self.meter.on_charged = self.endings.charged
        self.journal.on_publish(self.endings.hear)
        self.continuity = self.lifecycle.continuity = Continuity(
            self.registry, self.lifecycle, self.journal, rooms, TIMERS, TARIFF
        )
        node = self.registry, self.lifecycle, self.continuity, self.journal
        self.watch = Watch(Sweeper(), *node, self.sockets.is_connected, TIMERS)
        self.calls = CallService(
            self.registry,
            self.lifecycle,
            rooms,
            self.journal,
            self.presence,
            TIMERS,
            Rates(self.ledger, TARIFF),
            Attempts(0, 0),  # the model rings without end
            Directory(Standing()),
            admit=lambda: None,  # whether the node has room is not a call's business
        )
        self.tasks = Tasks()
        self.tasks.start(self.journal.run(), "journal")
        self.tasks.start(self.meter.run(), "meter")
        for adopted in recovery.adopted:
            self.continuity.adopt(adopted)
        await self.settle()

    async def settle(self) -> None:
        """Let timers fire and whatever they start end: rounds, since a charge may start an end, and that a room."""
        for _ in range(3):
            for _ in range(8):
                await asyncio.sleep(0)
            async with self.meter._storing:
                await self.ledger.ping()  # the writer is one: what was asked of it before is done
            await self.lifecycle._tasks.wait()
            await self.continuity._tasks.wait()
            await self.endings._tasks.wait()

    async def freeze(self) -> None:
        """It stops in the middle of everything, as by a SIGSTOP, and its workers are gone. It never noticed."""
        self.left = [detached(call) for call in self.registry]
        await self.tasks.close()
        await self.endings.close()
        for call in self.registry:
            self.lifecycle.leave(call)
        self.presence.close()

    async def wake(self) -> None:
        """Go on where it stood: end every call that it thinks to have, after charging what it thinks is due."""
        self.tasks.start(self.journal.run(), "journal")
        self.tasks.start(self.meter.run(), "meter")
        for call in self.left:
            self.registry.add(call)
            self.meter.follow(call)
        await self.settle()
        await self.lifecycle.close(5.0)
        await self.settle()
        await self.tasks.close()
        self.left = []

    async def close(self) -> None:
        await self.lifecycle.close(5.0)
        await self.endings.close()
        await self.continuity.close()
        await self.tasks.close()
        self.presence.close()
        await self.stack.aclose()


async def proven(call: LiveCall, at: float) -> None:
    """The machine says who sends, once a second."""


def detached(call: LiveCall) -> LiveCall:
    """The call as it is at this moment, without its room and its timer."""
    copy = LiveCall(call.id, call.user_id, call.otomo_id, call.terms, call.created_at)
    for name in ("state", "matched_at", "connected_at", "epoch", "interruption", "clock", "liveness"):
        setattr(copy, name, getattr(call, name))
    return copy
