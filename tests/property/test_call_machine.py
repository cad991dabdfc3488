"""Random lives of random calls against a reference model: whatever is done to one, it ends once with the right money.

The services, the ledger and the native worker are the real ones. Time is stepped: both clocks of the process, and the
event loop's, read the machine's plus an offset. Who sends RTP is said by the machine instead of by packets.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec import json

from app import clock
from app.access.tokens import Claims
from app.calls.attempts import Attempts
from app.calls.call import LiveCall
from app.calls.journal import Journal
from app.calls.lifecycle import CallTimers, Lifecycle
from app.calls.metering import Meter
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.registry import Registry
from app.calls.service import CallService
from app.errors import AppError
from app.ledger import Ledger
from app.ledger.values import Event
from app.media.codecs import codecs_of
from app.media.room import RoomLimits
from app.media.rooms import Rooms
from app.person import Person
from app.tasks import Tasks
from app.watch.liveness import LivenessLimits
from app.watch.watch import Watch
from schemas.call import CallState
from schemas.types import PartyRole
from tests.conftest import free_ports
from worker_bridge import native
from worker_bridge.pool import Pool, PoolSettings
from worker_bridge.worker_settings import WorkerSettings

T = TypeVar("T")

UNIT_S = 20.0
PRICE = 100
ALIVE_WITHIN_S = 10.0
LIMITS = LivenessLimits(rtp_stopped_after_s=10.0, never_sent_after_s=30.0, grace_s=5.0)
IDS = ("1", "2")  # of two users and of two otomos
PEOPLE = tuple(Person(role, one) for role in ("user", "otomo") for one in IDS)
EXPIRES = 1e12
KILLS = 6  # in all: more in a row is a crash loop, which the pool gives up on


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
    """Who has a socket: the machine says so."""

    def __init__(self) -> None:
        self.open: set[Person] = set()

    def online(self, person: Person) -> bool:
        return person in self.open


@dataclass
class ModelCall:
    """What the reference knows of a call."""

    id: str
    user_id: str
    otomo_id: str
    price: int
    sending: set[PartyRole] = field(default_factory=set)
    proofs: dict[PartyRole, list[float]] = field(default_factory=dict)  # by party: when RTP was proven
    connected: float | None = None

    def billable_units(self, until: float) -> int:
        """Whole units since the connection at whose end both parties had been heard lately."""
        if self.connected is None:
            return 0
        whole = int((until - self.connected) / UNIT_S + 1e-6)
        return sum(self._both_near(self.connected + number * UNIT_S) for number in range(1, whole + 1))

    def _both_near(self, at: float) -> bool:
        near = ALIVE_WITHIN_S + 1.5  # the machine proves life once a second
        heard = [self.proofs.get(party, ()) for party in ("user", "otomo")]
        return all(any(abs(at - proof) <= near for proof in proofs) for proofs in heard)


class World:
    """The real services of one example, on the shared loop and pool."""

    def __init__(self, pool: Pool, stepped: SteppedTime) -> None:
        self.pool, self.time = pool, stepped
        self.sockets = SocketsSaid()
        self.told: list[Event] = []
        self.stack = AsyncExitStack()

    async def open(self, path: str) -> None:
        self.ledger = await self.stack.enter_async_context(Ledger.open(f"sqlite:///{path}/calls.sqlite"))
        self.journal = Journal(self.ledger, self.told.extend, await self.ledger.latest_seq())
        self.registry = Registry()
        timers = CallTimers(ring_s=30.0, setup_s=30.0)
        rooms = Rooms(self.pool.place, codecs_of({"audio"}), RoomLimits(1, 1), self.registry.rooms_by_object)
        self.presence = Presence(self.sockets, self.registry, self.journal)
        self.lifecycle = Lifecycle(self.registry, self.journal, timers)
        self.meter = self.lifecycle.meter = Meter(self.journal, self.lifecycle.end_for, UNIT_S, ALIVE_WITHIN_S)
        self.watch = Watch(self.registry, self.lifecycle, self.journal, self.sockets.online, LIMITS)
        self.calls = CallService(
            self.registry,
            self.lifecycle,
            rooms,
            self.journal,
            self.presence,
            timers,
            Rates(self.ledger, PRICE),
            Attempts(0, 0),  # the machine rings without end
            admit=lambda: None,  # whether the node has room is not a call's business
        )
        self.tasks = Tasks()
        self.tasks.start(self.journal.run(), "journal")
        self.tasks.start(self.meter.run(), "meter")
        for user_id in IDS:
            await self.ledger.adjust(user_id, 5 * PRICE // 2, reason="start", idempotency_key=user_id, at_ms=0)

    async def close(self) -> None:
        await self.lifecycle.close(5.0)
        await self.tasks.close()
        await self.stack.aclose()


class Rig:
    """One event loop and one pool for all examples."""

    def __init__(self) -> None:
        self.time = SteppedTime()
        self.kills = 0
        self.told: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.loop = asyncio.new_event_loop()
        self.loop.time = self.time.monotonic  # type: ignore[method-assign]
        self.stack = AsyncExitStack()
        self.pool = self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def _open(self) -> Pool:
        settings = PoolSettings(2, first_port=free_ports(2), worker=WorkerSettings(hang_after_s=1e9, heartbeat_s=1e9))
        return await self.stack.enter_async_context(Pool.running(native.locate(), settings))

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    rig = Rig()
    monkeypatch.setattr(clock, "time", rig.time)
    yield rig
    rig.close()


class CallMachine(RuleBasedStateMachine):
    rig: Rig

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.rig.pool, self.rig.time)
        self.folder = tempfile.TemporaryDirectory()
        self.model: dict[str, ModelCall] = {}
        self.seen_state: dict[str, CallState] = {}
        self.run(self.world.open(self.folder.name))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.rig.run(work)

    def attempt(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do it; a refusal by the rules is an answer too."""
        try:
            return self.run(work)
        except AppError:
            return None

    # what people do

    @rule(person=strategies.sampled_from(PEOPLE))
    def socket_opens(self, person: Person) -> None:
        self.world.sockets.open.add(person)
        self.run(self._presence(person, True))

    @rule(person=strategies.sampled_from(PEOPLE))
    def socket_closes(self, person: Person) -> None:
        self.world.sockets.open.discard(person)
        self.run(self._presence(person, False))

    async def _presence(self, person: Person, online: bool) -> None:
        self.world.presence.socket_changed(person, online)

    @rule(user_id=strategies.sampled_from(IDS), otomo_id=strategies.sampled_from(IDS))
    def request(self, user_id: str, otomo_id: str) -> None:
        self.world.sockets.open.add(Person("otomo", otomo_id))
        call = self.attempt(self.world.calls.request_call(Claims(user_id, "user", EXPIRES), otomo_id))
        self.note(call)

    @rule(
        user_id=strategies.sampled_from(IDS),
        otomo_id=strategies.sampled_from(IDS),
        price=strategies.sampled_from([0, 40, PRICE]),
    )
    def match_elsewhere(self, user_id: str, otomo_id: str, price: int) -> None:
        self.note(self.attempt(self.world.calls.open_matched(user_id, otomo_id, price_per_minute=price)))

    @rule(
        user_id=strategies.sampled_from(IDS),
        otomo_id=strategies.sampled_from(IDS),
        price=strategies.sampled_from([0, 40, PRICE]),
        seconds=strategies.sampled_from([0, 21, 41, 62]),
    )
    def two_people_talk(self, user_id: str, otomo_id: str, price: int, seconds: int) -> None:
        """The usual life of a call, which chance alone rarely comes to."""
        call = self.attempt(self.world.calls.open_matched(user_id, otomo_id, price_per_minute=price))
        self.note(call)
        if call is not None:
            for party in call.liveness:
                self.run(self.first_packet(call, party))
            self.time_passes(seconds)

    def note(self, call: LiveCall | None) -> None:
        if call is not None:
            self.model[call.id] = ModelCall(call.id, call.user_id, call.otomo_id, call.price_per_minute)

    @precondition(lambda self: self.live())
    @rule(
        data=strategies.data(),
        deed=strategies.sampled_from(["accept", "accept", "accept", "reject", "cancel", "end", "admin"]),
    )
    def command(self, data: strategies.DataObject, deed: str) -> None:
        call = data.draw(strategies.sampled_from(self.live()))
        self.attempt(self._do(call, deed))

    @precondition(lambda self: self.live())
    @rule(data=strategies.data(), deeds=strategies.lists(
        strategies.sampled_from(["accept", "reject", "cancel", "end", "admin"]), min_size=2, max_size=3))  # fmt: skip
    def at_once(self, data: strategies.DataObject, deeds: list[str]) -> None:
        """Several ends at the same moment: at most one has its way, and is answered as often as it is asked."""
        call = data.draw(strategies.sampled_from(self.live()))

        async def all_of_them() -> list[object]:
            return await asyncio.gather(*(self._do(call, deed) for deed in deeds), return_exceptions=True)

        answers = self.run(all_of_them())
        ended = [deed for deed, answer in zip(deeds, answers, strict=True)
                 if not isinstance(answer, BaseException) and deed != "accept"]  # fmt: skip
        assert len(set(ended)) <= 1, f"{ended} all succeeded"
        assert all(isinstance(answer, AppError) for answer in answers if isinstance(answer, BaseException)), answers

    async def _do(self, call: LiveCall, deed: str) -> object:
        user, otomo = Claims(call.user_id, "user", EXPIRES), Claims(call.otomo_id, "otomo", EXPIRES)
        match deed:
            case "accept":
                return await self.world.calls.accept(otomo, call.id)
            case "reject":
                return await self.world.calls.reject(otomo, call.id)
            case "cancel":
                return await self.world.calls.cancel(user, call.id)
            case "end":
                return await self.world.calls.end(user, call.id)
            case _:
                return await self.world.calls.end_by_admin(Claims("root", "admin", EXPIRES), call.id)

    @precondition(lambda self: self.with_room())
    @rule(data=strategies.data())
    def starts_sending(self, data: strategies.DataObject) -> None:
        call = data.draw(strategies.sampled_from(self.with_room()))
        party = data.draw(strategies.sampled_from(("user", "otomo")))
        self.run(self.first_packet(call, party))

    async def first_packet(self, call: LiveCall, party: PartyRole) -> None:
        model = self.model[call.id]
        model.sending.add(party)
        moment = clock.now()
        self.world.lifecycle.first_packet(call, party, StubProducer(), moment)  # type: ignore[arg-type]
        model.proofs.setdefault(party, []).append(moment.monotonic)
        if model.connected is None and call.connected_at is not None:
            model.connected = call.connected_at.monotonic
        await self._settle()

    @precondition(lambda self: self.with_room())
    @rule(data=strategies.data())
    def stops_sending(self, data: strategies.DataObject) -> None:
        call = data.draw(strategies.sampled_from(self.with_room()))
        self.model[call.id].sending.discard(data.draw(strategies.sampled_from(("user", "otomo"))))

    # what happens

    @rule(seconds=strategies.sampled_from([1, 3, 7, 12, 21, 45]))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.rig.time.passed_s += 1.0
            self.run(self._second())

    async def _second(self) -> None:
        present = clock.now().monotonic
        talking = self.world.registry.talking()
        for call in talking:
            model = self.model[call.id]
            for party in model.sending:
                call.liveness[party].last_proof = present
                model.proofs.setdefault(party, []).append(present)
        await self._settle()
        self.world.watch._judge(talking)
        await self._settle()

    async def _settle(self) -> None:
        """Let timers fire and whatever they start end: two rounds, since a charge may start an end."""
        for _ in range(2):
            for _ in range(8):
                await asyncio.sleep(0)
            async with self.world.meter._storing:
                await self.world.ledger.ping()  # the writer is one: what was asked of it before is done
            await self.world.lifecycle._tasks.wait()

    @rule(step_s=strategies.sampled_from([-3600.0, 3600.0, 7200.0]))
    def wall_clock_jumps(self, step_s: float) -> None:
        self.rig.time.wall_step_s += step_s

    @precondition(lambda self: self.with_room() and self.rig.kills < KILLS)
    @rule()
    def a_worker_dies(self) -> None:
        self.rig.kills += 1
        worker = self.rig.pool.slots[0].worker
        if worker is not None:
            os.kill(worker.pid, signal.SIGKILL)
            self.run(self._until_back(worker))

    async def _until_back(self, dead: object) -> None:
        while self.rig.pool.slots[0].worker in (None, dead):
            await self.rig.pool.wait_changed()
        await self._settle()

    # what must be so

    @invariant()
    def states_move_forward(self) -> None:
        order = list(CallState)
        for call in self.world.registry:
            before = self.seen_state.get(call.id, CallState.REQUESTING)
            assert order.index(call.state) >= order.index(before)
            self.seen_state[call.id] = call.state

    @invariant()
    def the_ledger_adds_up(self) -> None:
        assert self.run(self.world.ledger.audit()) == ()

    @invariant()
    def nothing_is_charged_that_was_not_lived(self) -> None:
        until = self.rig.time.monotonic()
        for model in self.model.values():
            stored = self.run(self.world.ledger.call(model.id))
            assert stored is not None
            assert stored.billed_units <= model.billable_units(until)
            assert stored.billed_points <= stored.billed_units * model.price

    @invariant()
    def a_call_ends_at_most_once(self) -> None:
        ends = Counter((event.call_id, event.to) for event in self.world.told if event.type == "call_end")
        assert all(count == 1 for count in ends.values()), ends
        seqs = [event.seq for event in self.world.told]
        assert seqs == sorted(set(seqs)), "told out of order, or twice"

    def teardown(self) -> None:
        try:
            for model in self.model.values():
                model.sending.clear()
            self.time_passes(45)
            assert [call.id for call in self.world.registry] == [], "a call did not end"
            self.wallets_changed_by_what_was_charged()
            self.a_call_ends_at_most_once()
            self.rig.told.update(event.type for event in self.world.told)
            ends = [event for event in self.world.told if event.type == "call_end"]
            self.rig.ends.update(json.decode(event.payload)["reason"] for event in ends)
            ended = {event.call_id for event in ends}
            assert ended == set(self.model), "an end was not told"
        finally:
            self.run(self.world.close())
            self.folder.cleanup()

    def wallets_changed_by_what_was_charged(self) -> None:
        for user_id in IDS:
            wallet = self.run(self.world.ledger.balance(user_id))
            mine = [
                self.run(self.world.ledger.billing(one.id)) for one in self.model.values() if one.user_id == user_id
            ]
            assert wallet is not None
            assert wallet.balance == 5 * PRICE // 2 - sum(billing.total_points for billing in mine)

    def live(self) -> list[LiveCall]:
        return [call for call in self.world.registry if call.live]

    def with_room(self) -> list[LiveCall]:
        return [call for call in self.live() if call.room is not None]


class StubProducer:
    """Only named in a log line: the machine says itself who sends."""

    id = "no producer"


def test_any_life_of_any_call_ends_once_with_the_right_money(rig: Rig) -> None:
    CallMachine.rig = rig
    run_state_machine_as_test(
        CallMachine,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
    assert rig.told["call_tick"] > 0, "no example charged anything: the test would prove nothing"
    assert {"rtp_stopped", "timeout", "manual", "admin", "low_balance"} <= set(rig.ends), rig.ends
