"""How a call is interrupted, loses its room, and goes on. Packets are said by the test; rooms are on real workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.calls.call import CallEvent, EndReason
from app.clock import now, shifted
from app.ledger.values import Interrupted
from schemas.call import CallState
from schemas.types import iso
from tests.app.calls.moving_calls import Workshop, in_room, interrupted, talks, workshop_with
from tests.app.conftest import ended
from tests.conftest import eventually

IMPATIENT_S = 0.8  # the ledger's timeout, where a test has the database locked


@pytest.fixture
async def workshop(native_worker, desk_with) -> AsyncIterator[Workshop]:
    async with workshop_with(native_worker, desk_with) as made:
        yield made


async def silence(workshop: Workshop, call, party="otomo", for_s: float = 6.0) -> float:
    """Have the call interrupted, since that party was last heard so long ago; returns when that was."""
    since = now().monotonic - for_s
    call.liveness[party].last_proof = since
    workshop.desk.continuity.interrupt(call, party)
    await interrupted(call)
    return since


# interrupted, and back


async def test_the_clock_is_set_back_to_the_last_moment_at_which_both_were_there(workshop):
    call = await workshop.talking(ago_s=100.0)
    since = await silence(workshop, call, for_s=7.0)
    assert call.clock.talked_at(now().monotonic) == pytest.approx(since - call.connected_at.monotonic)
    stored = await workshop.desk.ledger.call(call.id)
    assert stored.state is CallState.INTERRUPTED
    assert stored.talked_ms == call.clock.talked_ms_at(0.0)
    at_ms = shifted(now(), since).utc_ms
    assert stored.proven_at_ms == pytest.approx(at_ms, abs=20)
    [one] = await workshop.interruptions(call)
    assert (one.reason, one.role, one.since_ms, one.until_ms) == ("no_rtp", "otomo", stored.proven_at_ms, None)
    last = (await workshop.desk.ledger.timeline(call.id))[-1]
    assert (last.state, last.cause) == ("interrupted", f"no RTP of {call.parties.otomo}")


async def test_both_are_told_who_is_away_since_when_and_until_when(workshop):
    call = await workshop.talking(ago_s=30.0)
    await silence(workshop, call, "user")
    for person in call.parties:
        [told] = workshop.desk.audience.payloads("call_interrupted", person)
        assert told == {
            "callId": call.id,
            "userId": call.user_id,
            "role": "user",
            "reason": "no_rtp",
            "since": call.interruption.since.iso,
            "until": call.interruption.until.iso,
        }
    assert call.interruption.until.monotonic - call.interruption.noticed.monotonic == pytest.approx(20.0)
    assert workshop.desk.registry.busy(call.parties.otomo), "the pair stays busy"


async def test_it_goes_on_with_the_second_partys_first_packet(workshop):
    call = await workshop.talking(ago_s=100.0)
    since = await silence(workshop, call, for_s=8.0)
    workshop.heard(call, "user")
    assert not workshop.desk.continuity.proven(call), "the other one is not there yet"
    assert call.state is CallState.INTERRUPTED
    workshop.heard(call, "otomo")
    back = call.liveness["otomo"].last_proof
    await talks(call)
    assert call.clock.since is not None
    assert call.clock.since.monotonic == back
    assert call.clock.talked_at(back + 10.0) == pytest.approx(since - call.connected_at.monotonic + 10.0)
    assert call.interruption is None
    [one] = await workshop.interruptions(call)
    assert one.until_ms - one.since_ms == pytest.approx(1000 * (back - since), abs=5)
    for person in call.parties:
        [told] = workshop.desk.audience.payloads("call_resumed", person)
        assert told == {"callId": call.id, "interruptedSeconds": int(back - since)}
    stored = await workshop.desk.ledger.call(call.id)
    assert (stored.state, stored.proven_at_ms) == (CallState.TALKING, one.until_ms)


async def test_the_one_who_was_never_away_must_be_heard_again_too(workshop):
    call = await workshop.talking(ago_s=30.0)
    await silence(workshop, call, "otomo")
    workshop.heard(call, "otomo")
    assert call.state is CallState.INTERRUPTED
    workshop.heard(call, "user")
    await talks(call)


async def test_a_call_may_be_interrupted_again_and_again_under_one_id_and_one_clock(workshop):
    call = await workshop.talking(ago_s=100.0)
    for _ in range(4):
        await silence(workshop, call, for_s=0.0)
        workshop.heard(call)
        await talks(call)
    found = await workshop.interruptions(call)
    assert len(found) == 4
    assert all(one.until_ms is not None for one in found)
    states = [step.state for step in await workshop.desk.ledger.timeline(call.id)]
    assert states == ["matched", "talking", *["interrupted", "talking"] * 4]


async def test_asked_many_times_it_is_interrupted_once_and_goes_on_once(workshop):
    call = await workshop.talking(ago_s=30.0)
    call.liveness["user"].last_proof = now().monotonic - 6.0
    for _ in range(5):
        workshop.desk.continuity.interrupt(call, "user")
    await interrupted(call)
    for _ in range(5):
        workshop.heard(call)
    await talks(call)
    assert len(await workshop.interruptions(call)) == 1
    types = workshop.desk.audience.types(call.parties.user)
    assert types == ["call_interrupted", "call_resumed"]


async def test_what_was_wrong_with_a_party_before_is_forgotten_when_it_is_back(workshop):
    call = await workshop.talking(ago_s=30.0)
    call.liveness["user"].bad_since = call.liveness["user"].unheard_since = now().monotonic - 10.0
    await silence(workshop, call, "user")
    workshop.heard(call)
    await talks(call)
    assert (call.liveness["user"].bad_since, call.liveness["user"].unheard_since) == (None, None)


@pytest.mark.parametrize("state", [CallState.MATCHED, CallState.CONNECTING])
async def test_a_call_that_does_not_talk_is_not_interrupted(workshop, state):
    call = await workshop.talking()
    call.state = state
    workshop.desk.continuity.interrupt(call, "user")
    await eventually(lambda: call.lock.locked() or workshop.desk.continuity._deciding)
    call.state = CallState.TALKING
    assert await workshop.interruptions(call) == ()


async def test_an_interruption_that_cannot_be_stored_stops_the_clock_at_once_and_is_told_when_it_is(
    native_worker, desk_with
):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        desk = workshop.desk
        call = await workshop.talking(ago_s=30.0)
        with desk.locked():
            call.liveness["user"].last_proof = now().monotonic - 6.0
            desk.continuity.interrupt(call, "user")
            await eventually(lambda: call.clock.runs and "its clock runs")
            talked = call.clock.talked_at(now().monotonic)
            assert talked == pytest.approx(call.liveness["user"].last_proof - call.connected_at.monotonic)
            assert desk.audience.types() == []
        await interrupted(call)
        assert desk.audience.types() == ["call_interrupted"] * 2
        assert call.clock.talked_at(now().monotonic) == talked


async def test_a_resumption_that_cannot_be_stored_counts_from_the_packet_once_it_is(native_worker, desk_with):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        call = await workshop.talking(ago_s=30.0)
        await silence(workshop, call)
        with workshop.desk.locked():
            workshop.heard(call)
            back = call.liveness["otomo"].last_proof
            await eventually(lambda: not call.clock.runs and "its clock stands")
            assert call.state is CallState.INTERRUPTED
        await talks(call)
        assert call.clock.since is not None
        assert call.clock.since.monotonic == back
        assert workshop.desk.audience.types(call.parties.user) == ["call_interrupted", "call_resumed"]


@pytest.mark.parametrize(
    ("event", "reason"), [(CallEvent.HANG_UP, EndReason.MANUAL), (CallEvent.FAIL, EndReason.ADMIN)]
)
async def test_an_interrupted_call_may_be_ended_and_has_talked_until_it_was(workshop, event, reason):
    call = await workshop.talking(ago_s=100.0)
    since = await silence(workshop, call, for_s=10.0)
    await workshop.desk.lifecycle.end(call, event, EndReason.ADMIN, "test")
    stored = await workshop.desk.ledger.call(call.id)
    assert (stored.end_reason, stored.duration_seconds) == ("admin", int(since - call.connected_at.monotonic))
    [one] = await workshop.interruptions(call)
    assert one.until_ms == stored.ended_at_ms


# another room


async def test_a_call_whose_worker_dies_gets_a_room_on_another_one_and_goes_on(workshop):
    desk = workshop.desk
    call = await workshop.talking(ago_s=100.0)
    first = call.room
    proven = shifted(now(), min(one.last_proof for one in call.liveness.values()))
    workshop.worker_dies(call)
    await workshop.worker_starts()
    room = await in_room(call, 2)
    assert (call.state, call.epoch, call.worker, room is not first) == (CallState.INTERRUPTED, 2, 1, True)
    assert await workshop.epochs(call) == [(1, 0, None), (2, 1, "worker_died")]
    for person in call.parties:
        assert desk.audience.types(person) == ["call_interrupted", "media_moved"]
        [told] = desk.audience.payloads("call_interrupted", person)
        assert (told["userId"], told["role"], told["reason"]) == (None, None, "worker_died")
        assert told["since"] == iso((await workshop.interruptions(call))[0].since_ms)
        [moved] = desk.audience.payloads("media_moved", person)
        assert moved == {"callId": call.id, "mediaEpoch": 2, "reason": "worker_died", "oldMediaUntil": None}
    workshop.heard(call)
    await talks(call)
    [one] = await workshop.interruptions(call)
    assert one == Interrupted("worker_died", None, pytest.approx(proven.utc_ms, abs=20), one.until_ms)
    stored = await desk.ledger.call(call.id)
    talked_ms = 1000 * (proven.monotonic - call.connected_at.monotonic)
    assert (stored.epoch, stored.talked_ms) == (2, pytest.approx(talked_ms, abs=1))
    assert (await desk.slot.worker.dump())["router_ids"] == [room.router.id]


async def test_packets_from_before_the_room_was_lost_do_not_bring_a_call_back(workshop):
    call = await workshop.talking()
    workshop.worker_dies(call)
    await interrupted(call)
    assert not workshop.desk.continuity.proven(call)
    await workshop.worker_starts()
    await in_room(call, 2)
    assert not workshop.desk.continuity.proven(call)
    assert call.state is CallState.INTERRUPTED


async def test_a_call_waits_for_a_worker_that_is_not_up_yet(workshop):
    call = await workshop.talking()
    workshop.worker_dies(call)
    await interrupted(call)
    workshop.heard(call)
    assert (call.room, call.state) == (None, CallState.INTERRUPTED)
    assert workshop.desk.audience.payloads("media_moved") == []
    await workshop.worker_starts()
    await in_room(call, 2)
    workshop.heard(call)
    await talks(call)


async def test_a_second_worker_that_dies_within_a_minute_ends_the_call_at_its_last_proof(workshop):
    desk = workshop.desk
    call = await workshop.talking(ago_s=100.0)
    workshop.worker_dies(call)
    await workshop.worker_starts()
    await in_room(call, 2)
    workshop.heard(call)
    await talks(call)
    last = shifted(now(), min(one.last_proof for one in call.liveness.values()))
    workshop.worker_dies(call)
    await ended(call)
    stored = await desk.ledger.call(call.id)
    assert (stored.end_reason, stored.epoch) == ("worker_died", 2)
    assert stored.ended_at_ms == pytest.approx(last.utc_ms, abs=20)
    assert await workshop.epochs(call) == [(1, 0, None), (2, 1, "worker_died")]
    assert [one["reason"] for one in desk.audience.payloads("call_end")] == ["worker_died"] * 2
    assert len(desk.registry) == 0


async def test_a_second_worker_that_dies_later_does_not(workshop):
    call = await workshop.talking()
    workshop.worker_dies(call)
    await workshop.worker_starts()
    await in_room(call, 2)
    call.worker_died_at -= 61.0
    workshop.worker_dies(call)
    await workshop.worker_starts()
    await in_room(call, 3)
    assert await workshop.epochs(call) == [(1, 0, None), (2, 1, "worker_died"), (3, 2, "worker_died")]
    assert len(await workshop.interruptions(call)) == 1, "it is the same one"


async def test_an_interrupted_call_that_loses_its_room_is_waited_for_anew(workshop):
    call = await workshop.talking(ago_s=30.0)
    since = await silence(workshop, call, "user")
    before = call.interruption
    workshop.heard(call, "user")
    workshop.worker_dies(call)
    await workshop.worker_starts()
    await in_room(call, 2)
    assert (call.interruption.reason, call.interruption.since.monotonic) == ("worker_died", since)
    assert call.interruption.until.monotonic > before.until.monotonic
    told = [one["reason"] for one in workshop.desk.audience.payloads("call_interrupted", call.parties.user)]
    assert told == ["no_rtp", "worker_died"]
    workshop.heard(call, "otomo")
    assert call.state is CallState.INTERRUPTED, "the user was heard in the old room only"
    workshop.heard(call, "user")
    await talks(call)
    assert len(await workshop.interruptions(call)) == 1


async def test_a_call_that_is_not_connected_yet_moves_without_an_interruption(workshop):
    desk = workshop.desk
    call = await workshop.talking()
    call.state, call.connected_at = CallState.CONNECTING, None
    call.clock.stop(0.0)
    workshop.worker_dies(call)
    await workshop.worker_starts()
    await in_room(call, 2)
    assert call.state is CallState.CONNECTING
    assert set(desk.audience.types()) == {"media_moved"}
    assert await workshop.interruptions(call) == ()


async def test_a_call_that_is_ended_while_it_waits_for_a_room_gets_none(workshop):
    call = await workshop.talking()
    workshop.worker_dies(call)
    await interrupted(call)
    async with asyncio.timeout(5.0):
        await workshop.desk.lifecycle.end(call, CallEvent.HANG_UP, EndReason.MANUAL, "the user")
    await workshop.worker_starts()
    assert await workshop.epochs(call) == [(1, 0, None)]
    assert (await workshop.desk.slot.worker.dump())["router_ids"] == []
    assert workshop.desk.audience.types(call.parties.user) == ["call_interrupted", "call_end"]


async def test_a_call_that_is_ended_while_its_move_waits_for_the_ledger_leaves_no_room(native_worker, desk_with):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        desk = workshop.desk
        call = await workshop.talking()
        workshop.worker_dies(call)
        await interrupted(call)
        with desk.locked():
            await workshop.worker_starts()

            async def no_room():
                return (await desk.slot.worker.dump())["router_ids"] == [] and "no room is open yet"

            await eventually(no_room)
            ending = desk.lifecycle.end_soon(call, CallEvent.HANG_UP, EndReason.MANUAL, "the user")
        await ending
        assert (await desk.ledger.call(call.id)).end_reason == "manual"
        assert (await desk.slot.worker.dump())["router_ids"] == []
        assert desk.registry.rooms_by_object == {}


async def test_a_call_that_is_ended_while_nobody_knows_whether_its_move_is_stored_ends_all_the_same(
    native_worker, desk_with
):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        desk = workshop.desk
        call = await workshop.talking()
        workshop.worker_dies(call)
        await interrupted(call)
        async with desk.stalled_commit():
            await workshop.worker_starts()

            async def no_try():
                return (await desk.slot.worker.dump())["router_ids"] == [] and "no room is open yet"

            await eventually(no_try)
            await asyncio.wait([asyncio.create_task(desk.ledger.ping())])  # fails when the move before it has
            ending = desk.lifecycle.end_soon(call, CallEvent.HANG_UP, EndReason.MANUAL, "the user")
        await ending
        assert (await desk.ledger.call(call.id)).end_reason == "manual"
        assert (await desk.slot.worker.dump())["router_ids"] == []


async def test_a_worker_that_dies_while_the_ledger_is_down_costs_the_call_nothing(native_worker, desk_with):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        call = await workshop.talking(ago_s=30.0)
        with workshop.desk.locked():
            workshop.worker_dies(call)
            await eventually(lambda: call.clock.runs and "its clock runs")
            await workshop.worker_starts()
            assert workshop.desk.audience.types() == []
        await in_room(call, 2)
        workshop.heard(call)
        await talks(call)
        types = workshop.desk.audience.types(call.parties.user)
        assert types == ["call_interrupted", "media_moved", "call_resumed"]


async def test_a_worker_that_dies_while_the_move_to_it_is_stored_is_noticed(native_worker, desk_with):
    async with workshop_with(native_worker, desk_with, timeout_s=IMPATIENT_S) as workshop:
        desk = workshop.desk
        call = await workshop.talking()
        workshop.worker_dies(call)
        await interrupted(call)
        call.worker_died_at -= 61.0
        with desk.locked():
            await workshop.worker_starts()
            worker = desk.slot.worker

            async def no_room():
                return (await worker.dump())["router_ids"] == [] and "no room is open yet"

            await eventually(no_room)
            call.room = object()  # for worker_dies, which kills what a call is on
            workshop.worker_dies(call)
            call.room = None
            await workshop.worker_starts()
        await in_room(call, 3)
        assert [epoch for epoch, _, _ in await workshop.epochs(call)] == [1, 2, 3]


async def test_many_calls_of_one_worker_all_go_on(workshop):
    calls = [await workshop.talking(f"call-{number}") for number in range(12)]
    workshop.worker_dies(calls[0])
    await workshop.worker_starts()
    for call in calls:
        await in_room(call, 2)
        workshop.heard(call)
        await talks(call)
    assert len((await workshop.desk.slot.worker.dump())["router_ids"]) == len(calls)
