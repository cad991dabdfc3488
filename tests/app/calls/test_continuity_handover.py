"""Calls that cross from one process to the next: adopted after a crash, or handed over by one that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.calls.call import LiveCall
from app.calls.timers import CallTimers
from app.clock import now
from app.ledger import Ledger
from app.ledger.steps import Interruption
from app.ledger.values import Interrupted, UnitDue
from app.person import Person
from app.tasks import Tasks
from app.watch.sweeper import Sweeper
from app.watch.watch import Watch
from schemas.call import CallState
from schemas.types import iso
from tests.app.calls.moving_calls import Workshop, in_room, talks, workshop_with
from tests.app.conftest import Desk, ended, prove_alive
from tests.app.ledger import ledger_samples as samples
from tests.conftest import eventually

IMPATIENT_S = 0.8  # the ledger's timeout, where a test has the database locked
WINDOW_S = 20.0


@pytest.fixture
async def workshop(native_worker, desk_with) -> AsyncIterator[Workshop]:
    async with workshop_with(native_worker, desk_with) as made:
        yield made


@asynccontextmanager
async def another_process(desk: Desk) -> AsyncIterator[Ledger]:
    async with Ledger.open(f"sqlite:///{desk.path}") as ledger:
        yield ledger


async def talked(ledger: Ledger, *, seconds: float, ago_s: float = 2.0) -> int:
    """A call in which both parties were last proven so long ago; returns when, in UTC milliseconds."""
    proven_ms = now().utc_ms - round(1000 * ago_s)
    talked_ms = round(1000 * seconds)
    await samples.talking(ledger, at_ms=proven_ms - talked_ms)
    await samples.prove(ledger, talked_ms=talked_ms, at_ms=proven_ms)
    return proven_ms


async def adopted(desk: Desk) -> LiveCall:
    """The one call that this process takes over."""
    recovery = await desk.ledger.recover(now_ms=now().utc_ms, window_ms=round(1000 * WINDOW_S))
    [found] = recovery.adopted
    desk.continuity.adopt(found)
    call = desk.registry.find(found.call.id)
    assert call is not None
    return call


async def test_a_call_of_a_process_that_died_goes_on_in_a_room_here(workshop):
    desk = workshop.desk
    async with another_process(desk) as before:
        proven_ms = await talked(before, seconds=30.5)
        call = await adopted(desk)
        assert (call.state, call.live) == (CallState.INTERRUPTED, True)
        assert desk.registry.busy(call.parties.user)
        await in_room(call, 2)
        for person in call.parties:
            assert desk.audience.types(person) == ["call_interrupted", "media_moved"]
            [told] = desk.audience.payloads("call_interrupted", person)
            assert (told["userId"], told["reason"], told["since"]) == (None, "node_lost", iso(proven_ms))
            [moved] = desk.audience.payloads("media_moved", person)
            assert (moved["mediaEpoch"], moved["reason"]) == (2, "node_lost")
        assert not desk.continuity.proven(call), "nobody was heard here yet"
        workshop.heard(call, "user")
        workshop.heard(call, "otomo")
        back = call.liveness["otomo"].last_proof
        await talks(call)
        assert call.clock.talked_at(back + 1.0) == pytest.approx(31.5)
        segments = await desk.ledger.segments(call.id)
        assert [(one.node, one.talked_before_ms) for one in segments] == [(before.node, 0), (desk.ledger.node, 30_500)]
        assert [one.since_ms for one in await workshop.interruptions(call)] == [proven_ms]


async def test_its_units_go_on_where_they_were(workshop):
    desk = workshop.desk
    await desk.give("user", 1000)
    async with another_process(desk) as before:
        proven_ms = await talked(before, seconds=119.9)
        samples.charged(await before.charge_unit(UnitDue("call", 1, 1, proven_ms, 60_000)))
        call = await adopted(desk)
        await in_room(call, 2)
        workshop.heard(call)
        await talks(call)
        prove_alive(call, now().monotonic + 30.0)
        await eventually(
            lambda: desk.meter.waiting or (desk.audience.types()[-1] != "wallet_update" and "no charge is told")
        )
        ticks = desk.audience.payloads("call_tick", call.parties.user)  # with what the other process stored
        told = [(tick["tickNumber"], tick["durationSeconds"], tick["userBalance"]) for tick in ticks]
        assert told == [(1, 60, 900), (2, 120, 800)]


async def nobody_is(_: Person) -> bool:
    """Online."""
    return False


async def test_a_call_that_waits_for_its_parties_ends_when_nobody_comes(native_worker, desk_with):
    timers = CallTimers(reconnect_window_s=0.5)
    async with workshop_with(native_worker, desk_with, timers=timers) as workshop:
        desk = workshop.desk
        async with another_process(desk) as before:
            proven_ms = await talked(before, seconds=30.0)
            recovery = await desk.ledger.recover(now_ms=now().utc_ms, window_ms=20_000)
            desk.continuity.adopt(recovery.adopted[0])
            call = desk.registry.find("call")
            await in_room(call, 2)
            watch = Watch(Sweeper(), desk.registry, desk.lifecycle, desk.continuity, desk.journal, nobody_is, timers)
            background = Tasks()
            background.start(watch.run(), "watch")
            await ended(call)
            await background.close()
        stored = await desk.ledger.call(call.id)
        assert (stored.end_reason, stored.ended_at_ms, stored.duration_seconds) == ("node_lost", proven_ms, 30)


async def test_a_call_that_was_interrupted_is_not_told_so_again(workshop):
    desk = workshop.desk
    async with another_process(desk) as before:
        since_ms = await talked(before, seconds=30.0)
        await samples.interrupt(before, at_ms=since_ms, talked_ms=30_000)
        call = await adopted(desk)
        await in_room(call, 2)
        assert desk.audience.types() == ["media_moved"] * 2
        workshop.heard(call)
        await talks(call)
        [one] = await workshop.interruptions(call)
        assert (one.reason, one.role, one.since_ms) == ("no_rtp", "otomo", since_ms)


async def test_a_start_without_a_worker_has_the_call_wait_for_one(workshop):
    desk = workshop.desk
    slot, desk.slot = desk.slot, None
    async with another_process(desk) as before:
        await talked(before, seconds=30.0)
        call = await adopted(desk)
        workshop.heard(call)
        assert (call.room, desk.audience.types()) == (None, [])
        desk.slot = slot
        await in_room(call, 2)


async def test_a_worker_that_died_before_the_start_counts_against_the_next_one(workshop):
    desk = workshop.desk
    async with another_process(desk) as before:
        proven_ms = await talked(before, seconds=30.0)
        await samples.move_media(before, at_ms=proven_ms - 30_000)
        call = await adopted(desk)
        await in_room(call, 3)
        workshop.worker_dies(call)
        await ended(call)
        assert (await desk.ledger.call(call.id)).end_reason == "worker_died"


async def test_a_wall_clock_that_was_set_back_proves_nobody(workshop):
    """The last proof seems to come in an hour. It is still a proof of the past: nobody was heard here."""
    desk = workshop.desk
    async with another_process(desk) as before:
        await talked(before, seconds=30.0, ago_s=-3600.0)
        call = await adopted(desk)
        await in_room(call, 2)
        assert not desk.continuity.proven(call)
        assert call.state is CallState.INTERRUPTED
        workshop.heard(call)
        await talks(call)
        assert call.clock.talked_at(now().monotonic + 10.0) == pytest.approx(40.0, abs=0.5)


# handed over


async def test_a_node_that_stops_leaves_its_connected_calls_to_the_next(workshop):
    desk = workshop.desk
    call = await workshop.talking(ago_s=90.0)
    last = call.liveness["user"].last_proof
    await desk.continuity.hand_over(5.0)
    assert len(desk.registry) == 0
    assert (await desk.slot.worker.dump())["router_ids"] == []
    for person in call.parties:
        [told] = desk.audience.payloads("call_interrupted", person)
        assert (told["userId"], told["reason"]) == (None, "moved")
    await desk.lifecycle.close(5.0)
    async with another_process(desk) as following:
        stored = await following.call(call.id)
        assert (stored.state, stored.talked_ms) == (CallState.INTERRUPTED, call.clock.talked_ms_at(last))
        recovery = await following.recover(now_ms=now().utc_ms, window_ms=20_000)
        [taken] = recovery.adopted
        assert (taken.reason, taken.was_talking, recovery.ended) == ("moved", False, ())
        assert [one.reason for one in await following.interruptions(call.id)] == ["moved"]


async def test_a_call_that_was_handed_over_says_that_the_node_stopped(workshop):
    desk = workshop.desk
    async with another_process(desk) as before:
        since_ms = await talked(before, seconds=30.0)
        why = Interruption("moved", None, since_ms)
        await samples.interrupt(before, at_ms=since_ms, talked_ms=30_000, interruption=why)
        call = await adopted(desk)
        await in_room(call, 2)
        assert desk.audience.types() == ["media_moved"] * 2
        assert {one["reason"] for one in desk.audience.payloads("media_moved")} == {"node_draining"}


async def test_a_call_that_was_interrupted_is_handed_over_as_it_is(workshop):
    desk = workshop.desk
    call = await workshop.talking(ago_s=90.0)
    call.liveness["otomo"].last_proof = now().monotonic - 6.0
    desk.continuity.interrupt(call, "otomo")
    await eventually(lambda: call.state is not CallState.INTERRUPTED and "it talks")
    before = await workshop.interruptions(call)
    await desk.continuity.hand_over(5.0)
    assert len(desk.registry) == 0
    assert await workshop.interruptions(call) == before
    assert before[0] == Interrupted("no_rtp", "otomo", before[0].since_ms)


async def test_calls_that_nobody_talks_in_yet_are_not_handed_over(workshop):
    desk = workshop.desk
    call = await workshop.talking()
    call.state = CallState.CONNECTING
    await desk.continuity.hand_over(5.0)
    assert call.id in desk.registry
    await desk.lifecycle.close(5.0)
    assert (await desk.ledger.call(call.id)).end_reason == "system_error"


async def test_a_node_that_stops_while_the_ledger_is_down_leaves_the_calls_by_their_last_proofs(
    native_worker, desk_with
):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        desk = workshop.desk
        call = await workshop.talking(ago_s=90.0)
        proven_ms = now().utc_ms
        await samples.prove(desk.ledger, call.id, talked_ms=89_000, at_ms=proven_ms)
        with desk.locked():
            async with asyncio.timeout(5.0):
                await desk.continuity.hand_over(3 * IMPATIENT_S)
            assert len(desk.registry) == 0
            assert (await desk.slot.worker.dump())["router_ids"] == []
        async with another_process(desk) as following:
            [taken] = (await following.recover(now_ms=now().utc_ms, window_ms=20_000)).adopted
            assert taken.call.talked_ms >= 89_000
