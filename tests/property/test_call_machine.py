"""Random lives of random calls against a reference model: whatever is done to one, it ends once with the right money.

The services, the ledger and the native worker are the real ones. Time is stepped: both clocks of the process, and the
event loop's, read the machine's plus an offset. Who sends RTP is said by the machine instead of by packets. Workers
die; processes freeze, and others go on with their calls, until the frozen ones wake.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec import json

from app import clock
from app.access.tokens import Claims
from app.calls.call import LiveCall
from app.errors import AppError
from app.ledger.errors import Fenced, RefundTooHigh
from app.ledger.recovery import Alive
from app.ledger.steps import Ending, MediaMove, Moving, Talked
from app.ledger.values import Event, NewEvent, Rate, RefundAsked, UnitDue, UnitFenced
from app.person import Person
from app.watch.watch import STOOD_STILL_S, proofs
from schemas.call import CallState
from schemas.tariff import Tariff
from schemas.types import PartyRole, PointKind
from tests.conftest import free_ports
from tests.property.call_world import PRICE, ModelCall, SocketsSaid, SteppedTime, World
from worker_bridge import native
from worker_bridge.pool import Pool, PoolSettings
from worker_bridge.rtp import RtpParameters
from worker_bridge.worker_settings import WorkerSettings

T = TypeVar("T")

IDS = ("1", "2")  # of two users and of two otomos
PEOPLE = tuple(Person(role, one) for role in ("user", "otomo") for one in IDS)
EXPIRES = 1e12
TARIFFS = (
    Tariff(unit_seconds=20, unit_points=60, charge="started"),
    Tariff(unit_seconds=7, unit_points=20, minimum_units=3),
    Tariff(unit_seconds=10, unit_points=30, minimum_units=3, charge="started"),
    Tariff(unit_seconds=10, unit_points=50, free_seconds=15),
    Tariff(unit_seconds=1, unit_points=2),
    Tariff(unit_seconds=10, unit_points=10, max_seconds=30),
)
RATES = (Rate(0), Rate(40), Rate(PRICE), *(Rate(one.price_per_minute, one) for one in TARIFFS))
KILLS = 8  # of each worker in all: more in a row is a crash loop, which the pool gives up on


class Rig:
    """One event loop and one pool for all examples."""

    def __init__(self) -> None:
        self.time = SteppedTime()
        self.kills: Counter[int] = Counter()
        self.refused = 0  # writes of processes that lost a call
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
        self.folder = tempfile.TemporaryDirectory()
        self.sockets = SocketsSaid()
        self.model: dict[str, ModelCall] = {}
        self.seen_state: dict[str, CallState] = {}
        self.seen_epoch: dict[str, int] = {}
        self.frozen: list[World] = []
        self.late_proofs: list[Alive] = []
        self.sweeps = 0
        self.gifts: Counter[str] = Counter()  # points by user
        self.keys = 0
        self.world = World(self.rig.pool, self.sockets)
        self.run(self._begin())

    async def _begin(self) -> None:
        await self.world.open(self.folder.name)
        for user_id in IDS:
            await self.world.journal.adjust(user_id, 5 * PRICE // 2, reason="start", idempotency_key=user_id)

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
        self.sockets.open.add(person)
        self.run(self._presence(person, True))

    @rule(person=strategies.sampled_from(PEOPLE))
    def socket_closes(self, person: Person) -> None:
        self.sockets.open.discard(person)
        self.run(self._presence(person, False))

    async def _presence(self, person: Person, online: bool) -> None:
        self.world.presence.socket_changed(person, online)

    @rule(user_id=strategies.sampled_from(IDS), otomo_id=strategies.sampled_from(IDS))
    def request(self, user_id: str, otomo_id: str) -> None:
        self.sockets.open.add(Person("otomo", otomo_id))
        call = self.attempt(self.world.calls.request_call(Claims(user_id, "user", EXPIRES), otomo_id))
        self.note(call)

    @rule(
        user_id=strategies.sampled_from(IDS),
        otomo_id=strategies.sampled_from(IDS),
        rate=strategies.sampled_from(RATES),
    )
    def match_elsewhere(self, user_id: str, otomo_id: str, rate: Rate) -> None:
        self.note(self.attempt(self.world.calls.open_matched(user_id, otomo_id, rate=rate)))

    @rule(
        user_id=strategies.sampled_from(IDS),
        otomo_id=strategies.sampled_from(IDS),
        rate=strategies.sampled_from(RATES),
        seconds=strategies.sampled_from([0, 21, 41, 62]),
    )
    def two_people_talk(self, user_id: str, otomo_id: str, rate: Rate, seconds: int) -> None:
        """The usual life of a call, which chance alone rarely comes to."""
        call = self.attempt(self.world.calls.open_matched(user_id, otomo_id, rate=rate))
        self.note(call)
        if call is not None:
            for party in call.liveness:
                self.run(self.first_packet(call, party))
            self.time_passes(seconds)

    @rule(user_id=strategies.sampled_from(IDS), kind=strategies.sampled_from(("paid", "bonus")))
    def points_come(self, user_id: str, kind: PointKind) -> None:
        self.keys += 1
        gift = self.world.journal.adjust(user_id, 30, reason="gift", idempotency_key=f"gift {self.keys}", kind=kind)
        self.run(gift)
        self.gifts[user_id] += 30

    @precondition(lambda self: self.model)
    @rule(data=strategies.data())
    def a_unit_is_given_back(self, data: strategies.DataObject) -> None:
        self.keys += 1
        call_id = data.draw(strategies.sampled_from(sorted(self.model)))
        with suppress(RefundTooHigh):
            self.run(self.world.journal.refund(RefundAsked(call_id, None, 1, "noise", f"refund {self.keys}")))

    def note(self, call: LiveCall | None) -> None:
        if call is not None:
            self.model[call.id] = ModelCall(call.id, call.user_id, call.otomo_id, call.tariff)

    @precondition(lambda self: self.live())
    @rule(
        data=strategies.data(),
        deed=strategies.sampled_from(["accept", "accept", "accept", "reject", "cancel", "end", "end", "admin"]),
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
        model.prove(party, moment.monotonic)
        await self.world.settle()

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
            self.run(self._sweep())

    @rule(seconds=strategies.sampled_from([1.5, 4.0, 9.0, 30.0]))
    def a_sweep_comes_late(self, seconds: float) -> None:
        """The node stood still: packets came, and nobody knows when."""
        self.rig.time.passed_s += seconds
        self.run(self._sweep(stood_still=seconds > STOOD_STILL_S))

    async def _sweep(self, *, stood_still: bool = False) -> None:
        """As the watch's, but that the machine says whose packets came."""
        watch, calls = self.world.watch, self.world.registry.connected()
        if stood_still:
            watch._find_silent(calls)
            await self.world.settle()
        present = clock.now().monotonic
        for call in calls:
            model = self.model[call.id]
            for party in model.sending if call.room is not None else ():
                call.liveness[party].prove(present)
                model.prove(party, present)
        await self.world.settle()
        watch._find_silent(calls)
        await watch._judge_interrupted(calls)
        await self.world.settle()
        self.sweeps += 1
        if self.sweeps % 2 == 0:
            await self.world.journal.prove_alive(proofs(calls))

    @rule()
    def a_proof_is_held_up(self) -> None:
        self.late_proofs.append(proofs(self.world.registry.connected()))

    @precondition(lambda self: self.late_proofs)
    @rule()
    def late_proofs_come(self) -> None:
        for one in self.late_proofs:
            self.run(self.world.journal.prove_alive(one))
        self.late_proofs.clear()

    @rule(step_s=strategies.sampled_from([-3600.0, 3600.0, 7200.0]))
    def wall_clock_jumps(self, step_s: float) -> None:
        self.rig.time.wall_step_s += step_s

    @rule(index=strategies.sampled_from([0, 1]))
    def a_worker_dies(self, index: int) -> None:
        worker = self.rig.pool.slots[index].worker
        if worker is not None and self.rig.kills[index] < KILLS:
            self.rig.kills[index] += 1
            lost = [call for call in self.live() if call.room is not None and call.room.worker_index == index]
            os.kill(worker.pid, signal.SIGKILL)
            self.run(self._until_back(index, worker))
            for call in lost:
                self.model[call.id].cut()

    async def _until_back(self, index: int, dead: object) -> None:
        while self.rig.pool.slots[index].worker in (None, dead):
            await self.rig.pool.wait_changed()
        await self.world.settle()

    @rule(planned=strategies.booleans(), away_s=strategies.sampled_from([0.0, 1.0, 6.0, 25.0]))
    def the_process_is_replaced(self, planned: bool, away_s: float) -> None:
        """It stops, or freezes and is taken for dead; another one goes on, after a while."""
        self.run(self._replace(planned, away_s))
        for model in self.model.values():
            model.cut()

    async def _replace(self, planned: bool, away_s: float) -> None:
        before = self.world
        if planned:
            await before.continuity.hand_over(5.0)
            await before.lifecycle.close(5.0)
        await before.freeze()
        self.frozen.append(before)
        self.rig.time.passed_s += away_s
        self.world = World(self.rig.pool, self.sockets)
        await self.world.open(self.folder.name)

    @precondition(lambda self: any(one.left for one in self.frozen))
    @rule()
    def a_frozen_process_wakes(self) -> None:
        """It still thinks that it has its calls. Nothing that it does is stored, or told to anybody."""
        self.run(self._wake(next(one for one in self.frozen if one.left)))

    async def _wake(self, old: World) -> None:
        before = await self._stored()
        for call in old.left:
            await self._try_everything(old, call)
        await old.wake()
        assert await self._stored() == before, "a process that lost its calls changed, or told, something"

    async def _try_everything(self, old: World, call: LiveCall) -> None:
        ledger, at_ms = old.ledger, clock.now().utc_ms
        told = (NewEvent("lost", b"{}", call.parties.user, call.id),)
        await ledger.prove_alive({(call.id, call.epoch): Talked(10**9, at_ms + 10**9)})
        await ledger.append_events(told, at_ms=at_ms)
        due = UnitDue(call.id, call.epoch, 1, at_ms, 10**9)
        assert await ledger.charge_unit(due) == UnitFenced(call.id)
        one = {"call_id": call.id, "epoch": call.epoch, "told": told}
        for change in (
            ledger.move(Moving(**one, to=CallState.TALKING, cause="late", at_ms=at_ms)),
            ledger.move_media(MediaMove(**one, worker=9, reason="worker_died", at_ms=at_ms)),
            ledger.end_call(Ending(**one, reason="late", cause="late", ended_at_ms=at_ms)),
        ):
            try:
                answer = await change
            except Fenced:
                self.rig.refused += 1
            else:
                assert getattr(answer, "already", False), "only a call that has ended answers, with its end"

    async def _stored(self) -> list[Any]:
        """All that must not change: calls, their units and rooms, the wallets, and what was told of calls. (That an
        otomo is free again is kept back by the claim on the database, which these processes have not.)"""
        ledger = self.world.ledger
        calls = [await ledger.call(call_id) for call_id in self.model]
        parts = [
            (await ledger.billing(one), await ledger.segments(one), await ledger.timeline(one)) for one in self.model
        ]
        told = [event for event in await ledger.tail(0) if event.call_id is not None]
        return [calls, parts, [await ledger.balance(one) for one in IDS], told]

    # what must be so

    @invariant()
    def states_move_forward(self) -> None:
        for call in self.world.registry:
            before = self.seen_state.get(call.id, CallState.REQUESTING)
            assert call.state is before or before.may_become(call.state) or before.precedes(call.state), call.state
            self.seen_state[call.id] = call.state

    @invariant()
    def rooms_are_numbered_upwards_and_calls_are_this_processes(self) -> None:
        for call_id in self.model:
            stored = self.run(self.world.ledger.call(call_id))
            assert stored is not None
            assert stored.epoch >= self.seen_epoch.get(call_id, 1)
            self.seen_epoch[call_id] = stored.epoch
            if stored.state is not CallState.ENDED:
                assert stored.node == self.world.ledger.node
                live = self.world.registry.find(call_id)
                assert live is not None
                assert live.epoch == stored.epoch

    @invariant()
    def the_ledger_adds_up(self) -> None:
        assert self.run(self.world.ledger.audit()) == ()

    @invariant()
    def nothing_is_charged_that_was_not_lived(self) -> None:
        for model in self.model.values():
            stored = self.run(self.world.ledger.call(model.id))
            assert stored is not None
            assert stored.billed_units <= model.billable_units(), f"both were there for {model.together_s} s"
            assert stored.billed_points <= stored.billed_units * model.tariff.unit_points
            assert stored.tariff == model.tariff

    @invariant()
    def a_call_ends_at_most_once_and_nothing_is_told_of_it_after(self) -> None:
        ended: Counter[tuple[str | None, Person | None]] = Counter()
        for event in self.all_events():
            key = event.call_id, event.to
            assert ended[key] == 0, f"{event.type} after the end"
            ended[key] += event.type == "call_end"

    @invariant()
    def each_process_tells_in_order(self) -> None:
        for world in (self.world, *self.frozen):
            seqs = [event.seq for event in world.told]
            assert seqs == sorted(set(seqs)), "told out of order, or twice"

    def all_events(self) -> tuple[Event, ...]:
        return self.run(self.world.ledger.tail(0, limit=100_000))

    def teardown(self) -> None:
        try:
            for model in self.model.values():
                model.sending.clear()
            self.time_passes(45)
            assert list(self.world.registry) == [], "a call did not end"
            self.wallets_changed_by_what_was_charged()
            self.a_call_ends_at_most_once_and_nothing_is_told_of_it_after()
            self.nothing_is_charged_that_was_not_lived()
            events = self.all_events()
            self.rig.told.update(event.type for event in events)
            ends = [event for event in events if event.type == "call_end"]
            self.rig.ends.update(json.decode(event.payload)["reason"] for event in ends)
            ended = {event.call_id for event in ends}
            assert ended == set(self.model), "an end was not told"
        finally:
            for world in (*self.frozen, self.world):
                self.run(world.close())
            self.folder.cleanup()

    def wallets_changed_by_what_was_charged(self) -> None:
        for user_id in IDS:
            wallet = self.run(self.world.ledger.balance(user_id))
            mine = [
                self.run(self.world.ledger.billing(one.id)) for one in self.model.values() if one.user_id == user_id
            ]
            assert wallet is not None
            spent = sum(billing.total_points - billing.refunded_points for billing in mine)
            assert wallet.balance == 5 * PRICE // 2 + self.gifts[user_id] - spent

    def live(self) -> list[LiveCall]:
        return [call for call in self.world.registry if call.live]

    def with_room(self) -> list[LiveCall]:
        return [call for call in self.live() if call.room is not None]


class StubProducer:
    """Only named in a log line, and without audio levels: the machine says itself who sends."""

    id = "no producer"
    rtp_parameters = RtpParameters((), (), ())


def test_any_life_of_any_call_ends_once_with_the_right_money(rig: Rig) -> None:
    CallMachine.rig = rig
    run_state_machine_as_test(
        CallMachine,
        settings=settings(
            max_examples=9,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,  # so few examples must meet every kind of end, each time
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
    assert rig.told["call_tick"] > 0, "no example charged anything: the test would prove nothing"
    assert {"rtp_stopped", "timeout", "manual", "admin", "low_balance"} <= set(rig.ends), rig.ends
    assert {"call_interrupted", "call_resumed", "media_moved"} <= set(rig.told), rig.told
