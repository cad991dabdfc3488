"""The calls of a node without its sockets: the real journal, meter, life cycle and continuity on a real ledger.

It has no worker until a test gives it one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from app.calls.call import LiveCall
from app.calls.continuity import Continuity
from app.calls.endings import Endings
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.metering import Meter
from app.calls.registry import Registry
from app.calls.timers import CallTimers
from app.clock import Moment, now
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Event, NewCall
from app.media.codecs import codecs_of
from app.media.rooms import Rooms
from app.person import Person
from app.tariffs import Terms
from app.tasks import Tasks
from schemas.call import CallState
from schemas.tariff import Tariff
from tests.app.ledger.ledger_samples import move, open_call
from tests.app.media.rooms_on_worker import LIMITS
from tests.conftest import eventually
from worker_bridge.errors import WorkerGone
from worker_bridge.pool import Slot

PRICE = 100  # points a unit
CLOSE_WITHIN_S = 5.0


@dataclass
class Audience:
    """Everything that was published, in the order in which it was."""

    events: list[Event] = field(default_factory=list)

    def hear(self, events: Sequence[Event]) -> None:
        self.events += events

    def types(self, person: Person | None = None) -> list[str]:
        return [event.type for event in self.events if person in (None, event.to)]

    def payloads(self, event_type: str, person: Person | None = None) -> list[dict[str, Any]]:
        found = [event for event in self.events if event.type == event_type]
        return [json.decode(event.payload) for event in found if person in (None, event.to)]

    def numbers(self) -> list[int]:
        return [event.seq for event in self.events]


@dataclass
class Desk:
    """One node's calls, and what they are made of."""

    ledger: Ledger
    audience: Audience
    journal: Journal
    registry: Registry
    lifecycle: Lifecycle
    continuity: Continuity
    rooms: Rooms
    meter: Meter
    endings: Endings
    path: Path
    unit_s: float
    slot: Slot | None = None  # where rooms are opened

    def place(self) -> Slot:
        if self.slot is None:
            raise WorkerGone("the desk has no worker")
        return self.slot

    async def talking(
        self, call_id: str = "call", *, price: int = PRICE, ago_s: float = 0.0, tariff: Tariff | None = None
    ) -> LiveCall:
        """A call that was connected ``ago_s`` seconds ago, with both parties alive now. Nothing charges it yet."""
        present = now()
        connected_at = Moment(present.monotonic - ago_s, present.utc_ms - round(ago_s * 1000))
        terms = Terms.by_unit(price, self.unit_s) if tariff is None else Terms(tariff.price_per_minute, tariff)
        call = LiveCall(call_id, f"user of {call_id}", f"otomo of {call_id}", terms, connected_at)
        parties = (call.id, call.user_id, call.otomo_id)
        states = (CallState.MATCHED,)
        matched = NewCall(*parties, call.price_per_minute, connected_at.utc_ms, states, "test", tariff=call.tariff)
        self.registry.add(call)
        await open_call(self.journal, matched)
        await move(self.journal, call.id, CallState.TALKING, cause="test", at_ms=connected_at.utc_ms)
        call.state, call.matched_at, call.connected_at = CallState.TALKING, connected_at, connected_at
        call.clock.start(connected_at)
        prove_alive(call)
        return call

    async def give(self, user_id: str, points: int) -> None:
        await self.journal.adjust(user_id, points, reason="gift", idempotency_key=f"{user_id} {points} {now()}")

    async def balance(self, user_id: str) -> int | None:
        wallet = await self.ledger.balance(user_id)
        return wallet and wallet.balance

    @asynccontextmanager
    async def stalled_commit(self) -> AsyncIterator[None]:
        """What is written first in here is committed, but so slowly that whoever wrote it has given up before."""
        disk_answers = threading.Event()
        stall = asyncio.create_task(self.ledger._database.write(lambda _: disk_answers.wait()))
        try:
            yield
        finally:
            disk_answers.set()
            await asyncio.wait([stall])
            assert isinstance(stall.exception(), LedgerUnavailable), "nobody would have given up"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process holds the database's write lock meanwhile."""
        other = sqlite3.connect(self.path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()


DeskFactory = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def desk_with(tmp_path: Path) -> DeskFactory:
    @asynccontextmanager
    async def make(
        *,
        unit_s: float = 60.0,
        grace_s: float = 30.0,
        timeout_s: float = 5.0,
        timers: CallTimers | None = None,
        runs: bool = True,
    ) -> AsyncIterator[Desk]:
        """``timeout_s`` is the ledger's; what does not run is driven by the test, step by step."""
        timers = timers or CallTimers(ledger_grace_s=grace_s)
        path = tmp_path / "ledger.sqlite"
        audience, registry, background = Audience(), Registry(), Tasks()
        async with Ledger.open(f"sqlite:///{path}", timeout_s=timeout_s) as ledger:
            journal = Journal(ledger, audience.hear, await ledger.latest_seq())
            lifecycle = Lifecycle(registry, journal, timers)
            meter = lifecycle.meter = Meter(journal, lifecycle.end_for, lifecycle.lose, grace_s)
            endings = lifecycle.endings = Endings(journal, lifecycle.end_for, meter.decide_due, believed, (2, 1))
            meter.on_charged = endings.charged
            journal.on_publish(endings.hear)
            rooms = Rooms(lambda: desk.place(), codecs_of({"audio"}), LIMITS, registry.rooms_by_object)
            continuity = lifecycle.continuity = Continuity(
                registry, lifecycle, journal, rooms, timers, Terms.by_unit(PRICE).tariff
            )
            desk = Desk(ledger, audience, journal, registry, lifecycle, continuity, rooms, meter, endings, path, unit_s)
            if runs:
                background.start(journal.run(), "journal")
                background.start(meter.run(), "meter")
            yield desk
            await lifecycle.close(CLOSE_WITHIN_S)
            await endings.close()
            await continuity.close()
            await background.close()
            async with Ledger.open(f"sqlite:///{path}") as patient:
                assert await patient.audit() == ()
            assert audience.numbers() == sorted(set(audience.numbers())), "told twice, or out of order"

    return make


@pytest.fixture
async def desk(desk_with: DeskFactory) -> AsyncIterator[Desk]:
    async with desk_with() as made:
        yield made


@pytest.fixture
async def still_desk(desk_with: DeskFactory) -> AsyncIterator[Desk]:
    """A desk whose meter and journal do nothing by themselves."""
    async with desk_with(runs=False) as made:
        yield made


async def believed(call: LiveCall, at: float) -> None:
    """Where the test says who is there: it has a moment to do so."""
    await asyncio.sleep(0.05)


def prove_alive(call: LiveCall, at: float | None = None) -> None:
    """Both parties' last packet came now, or at that monotonic time."""
    for liveness in call.liveness.values():
        liveness.last_proof = now().monotonic if at is None else at


async def ended(call: LiveCall) -> None:
    """Wait until the end of a call that is ending is stored and told."""
    await eventually(lambda: call.state is not CallState.ENDED and f"it is {call.state}")
