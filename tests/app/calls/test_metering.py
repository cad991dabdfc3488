"""When a unit is due and whether it is charged. Time is what the test says it is, where no clock is asked for."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from msgspec import json

from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.metering import TOGETHER_S
from app.calls.talk_clock import TalkClock
from app.clock import now, shifted
from app.ledger.values import UnitDue
from schemas.call import CallState
from tests.app.calls.metered_calls import started, time_is, units
from tests.app.conftest import PRICE, Desk, ended, prove_alive
from tests.conftest import eventually

DAY_MS = 24 * 3600 * 1000


async def test_a_unit_is_due_when_its_last_second_has_passed(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 59.999)
    assert await units(still_desk, call) == []
    await time_is(still_desk, call, 60.0)
    await time_is(still_desk, call, 60.0)
    assert await units(still_desk, call) == [(1, PRICE, 60)]
    await time_is(still_desk, call, 119.999)
    assert await units(still_desk, call) == [(1, PRICE, 60)]
    await time_is(still_desk, call, 120.0)
    assert await units(still_desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]
    assert await still_desk.balance(call.user_id) == 1000 - 2 * PRICE


async def test_a_unit_that_is_looked_at_late_was_due_when_it_was_due(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 63.2)
    [unit] = (await still_desk.ledger.billing(call.id)).units
    assert (unit.duration_seconds, unit.charged_at_ms - call.connected_at.utc_ms) == (60, 60_000)


@pytest.mark.parametrize("late", ["user", "otomo"])
async def test_a_unit_waits_until_both_were_proven_at_its_moment_or_later(still_desk, late):
    call = await started(still_desk)
    prove_alive(call, call.connected_at.monotonic + 59.9)
    await time_is(still_desk, call, 60.5, alive=False)
    for party in call.liveness.values():
        if party.person.role != late:
            party.prove(call.connected_at.monotonic + 64.0)
    for seconds in (61.0, 64.0, 64.9):
        await time_is(still_desk, call, seconds, alive=False)
        assert await units(still_desk, call) == [], "one of them was not there yet"
    call.liveness[late].prove(call.connected_at.monotonic + 60.0)
    await time_is(still_desk, call, 65.2, alive=False)
    assert await units(still_desk, call) == [(1, PRICE, 60)]
    [unit] = (await still_desk.ledger.billing(call.id)).units
    assert unit.charged_at_ms - call.connected_at.utc_ms == 60_000, "it was due when it was due"


async def test_what_is_not_proven_yet_is_looked_at_again_within_the_second(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 60.0, alive=False)
    assert 0.0 < still_desk.meter._due[0].at - (call.connected_at.monotonic + 60.0) <= 1.0


def silent(call: LiveCall, since_s: float) -> None:
    """Its clock is set back to that second, and stands."""
    call.clock.stop(call.connected_at.monotonic + since_s)


def together(desk: Desk, call: LiveCall, at_s: float) -> None:
    """Its clock runs again from that second on."""
    call.clock.start(shifted(call.connected_at, call.connected_at.monotonic + at_s))
    desk.meter.follow(call)


async def test_while_a_call_is_interrupted_nothing_is_charged_and_then_the_next_unit_is(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 60)
    silent(call, since_s=110.0)
    for seconds in (120.0, 180.0, 600.0):
        await time_is(still_desk, call, seconds)
    assert await units(still_desk, call) == [(1, PRICE, 60)]
    together(still_desk, call, at_s=700.0)
    await time_is(still_desk, call, 709.9)
    assert await units(still_desk, call) == [(1, PRICE, 60)]
    await time_is(still_desk, call, 710.0)
    assert await units(still_desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]


async def test_a_unit_that_was_due_before_the_clock_was_set_back_is_due_again_later(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 61.0, alive=False)
    silent(call, since_s=58.0)
    together(still_desk, call, at_s=70.0)
    await time_is(still_desk, call, 71.9)
    assert await units(still_desk, call) == []
    await time_is(still_desk, call, 72.0)
    assert await units(still_desk, call) == [(1, PRICE, 60)]


async def test_many_interruptions_charge_no_unit_twice(still_desk):
    call = await started(still_desk)
    for turn in range(20):  # ten seconds of talk in each, twice in the middle of which a unit is due
        await time_is(still_desk, call, 100.0 * turn + 12.0, alive=False)
        prove_alive(call, call.connected_at.monotonic + 100.0 * turn + 10.0)
        await time_is(still_desk, call, 100.0 * turn + 12.5, alive=False)
        silent(call, since_s=100.0 * turn + 10.0)
        together(still_desk, call, at_s=100.0 * (turn + 1))
        prove_alive(call, call.connected_at.monotonic + 100.0 * (turn + 1))
    await time_is(still_desk, call, 2000.0)
    assert await units(still_desk, call) == [(1, PRICE, 60), (2, PRICE, 120), (3, PRICE, 180)]
    assert await still_desk.balance(call.user_id) == 1000 - 3 * PRICE


async def test_one_way_sound_is_never_charged(still_desk):
    call = await started(still_desk)
    call.liveness["otomo"].last_proof = None
    for minute in (1, 2, 3):
        call.liveness["user"].last_proof = call.connected_at.monotonic + 60 * minute
        await time_is(still_desk, call, 60 * minute, alive=False)
    assert await units(still_desk, call) == []
    assert await still_desk.balance(call.user_id) == 1000


async def test_minutes_through_which_the_machine_slept_are_free(still_desk):
    """Who wakes up interrupts the call before anything is charged, since nobody was proven to be there."""
    call = await started(still_desk)
    await time_is(still_desk, call, 60)
    await time_is(still_desk, call, 60 * 10 + 5, alive=False)
    silent(call, since_s=60.0)
    together(still_desk, call, at_s=606.0)
    await time_is(still_desk, call, 665.9)
    assert await units(still_desk, call) == [(1, PRICE, 60)]
    await time_is(still_desk, call, 666.0)
    assert await units(still_desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]


async def test_a_call_that_another_process_charged_goes_on_with_its_next_unit(still_desk):
    call = await still_desk.talking()
    await still_desk.give(call.user_id, 1000)
    charged = [UnitDue(call.id, call.epoch, number, call.connected_at.utc_ms, 60_000 * number) for number in (1, 2)]
    await still_desk.ledger.charge_units(charged)
    call.clock = TalkClock(125.0)
    still_desk.meter.follow(call, 2)
    together(still_desk, call, at_s=300.0)
    await time_is(still_desk, call, 354.9)
    assert len(await units(still_desk, call)) == 2
    await time_is(still_desk, call, 355.0)
    assert await units(still_desk, call) == [(1, PRICE, 60), (2, PRICE, 120), (3, PRICE, 180)]


async def test_a_wall_clock_that_jumps_changes_no_charge(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 60, wall_ms=DAY_MS)
    await time_is(still_desk, call, 119, wall_ms=-DAY_MS)
    await time_is(still_desk, call, 120, wall_ms=-DAY_MS)
    assert await units(still_desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]


@pytest.mark.parametrize("state", [CallState.ENDING, CallState.ENDED])
async def test_a_call_that_ends_is_charged_no_more(still_desk, state):
    call = await started(still_desk)
    call.state = state
    await time_is(still_desk, call, 60)
    call.state = CallState.TALKING
    await time_is(still_desk, call, 61)
    assert await units(still_desk, call) == []


async def test_both_are_told_of_a_unit_and_only_the_user_of_the_money(still_desk):
    call = await started(still_desk)
    await time_is(still_desk, call, 60)
    tick = {
        "callId": call.id,
        "tickNumber": 1,
        "chargedPoints": PRICE,
        "totalChargedPoints": PRICE,
        "durationSeconds": 60,
        "timestamp": shifted(call.connected_at, call.connected_at.monotonic + 60).iso,
        "status": "ok",
    }
    audience = still_desk.audience
    assert audience.payloads("call_tick", call.parties.user) == [{**tick, "userBalance": 1000 - PRICE}]
    assert audience.payloads("call_tick", call.parties.otomo) == [tick]
    assert [one["balance"] for one in audience.payloads("wallet_update", call.parties.user)] == [1000, 1000 - PRICE]
    assert audience.payloads("wallet_update", call.parties.otomo) == []


async def test_points_run_out_unit_by_unit(still_desk):
    call = await started(still_desk, points=250)
    for minute in (1, 2, 3, 4):
        await time_is(still_desk, call, 60 * minute)
    await ended(call)
    assert await units(still_desk, call) == [(1, 100, 60), (2, 100, 120), (3, 50, 180)]
    told = still_desk.audience.payloads("call_tick", call.parties.user)
    assert [(tick["status"], tick["userBalance"]) for tick in told] == [("ok", 150), ("low_balance", 50), ("ended", 0)]
    [end] = still_desk.audience.payloads("call_end", call.parties.user)
    assert (end["reason"], end["totalChargedPoints"]) == ("low_balance", 250)
    assert still_desk.audience.types(call.parties.user)[-1] == "call_end"


async def test_the_last_point_of_an_even_balance_ends_the_call(still_desk):
    call = await started(still_desk, points=2 * PRICE)
    await time_is(still_desk, call, 60)
    assert call.live
    await time_is(still_desk, call, 120)
    await ended(call)
    assert [tick["status"] for tick in still_desk.audience.payloads("call_tick", call.parties.otomo)] == ["ok", "ended"]


async def test_without_a_wallet_the_first_unit_ends_the_call_and_is_not_charged(still_desk):
    call = await started(still_desk, points=None)
    await time_is(still_desk, call, 60)
    await ended(call)
    assert await units(still_desk, call) == []
    [end] = still_desk.audience.payloads("call_end", call.parties.otomo)
    assert (end["reason"], end["totalChargedPoints"]) == ("low_balance", 0)


async def test_a_free_call_ticks_and_touches_no_wallet(still_desk):
    call = await started(still_desk, points=50, price=0)
    await time_is(still_desk, call, 60)
    await time_is(still_desk, call, 120)
    assert await units(still_desk, call) == [(1, 0, 60), (2, 0, 120)]
    assert await still_desk.balance(call.user_id) == 50
    ticks = still_desk.audience.payloads("call_tick", call.parties.otomo)
    assert [(tick["status"], tick["chargedPoints"]) for tick in ticks] == [("ok", 0), ("ok", 0)]
    assert len(still_desk.audience.payloads("wallet_update")) == 1, "of the gift"


async def test_a_free_call_needs_no_wallet(still_desk):
    call = await started(still_desk, points=None, price=0)
    await time_is(still_desk, call, 60)
    assert await units(still_desk, call) == [(1, 0, 60)]
    assert call.live
    assert await still_desk.balance(call.user_id) is None


async def test_many_calls_are_charged_in_one_go(still_desk):
    calls = [await still_desk.talking(f"call-{number}", price=0) for number in range(30)]
    for call in calls:
        still_desk.meter.follow(call)
    latest = max(calls, key=lambda call: call.connected_at.monotonic)  # the others are looked at a little late
    for call in calls:
        prove_alive(call, latest.connected_at.monotonic + 60)
    await time_is(still_desk, latest, 60)
    assert [await units(still_desk, call) for call in calls] == [[(1, 0, 60)]] * len(calls)


async def test_a_call_is_never_shorter_than_its_units(still_desk):
    """It ends at its last proof, because its worker died: what was charged is talked."""
    call = await started(still_desk)
    prove_alive(call, call.connected_at.monotonic + 60.0)
    await time_is(still_desk, call, 64.0, alive=False)
    at = call.proven_until(shifted(call.connected_at, call.connected_at.monotonic + 64.0))
    await still_desk.lifecycle.end_soon(call, CallEvent.FAIL, EndReason.WORKER_DIED, "test", at=at)
    stored = await still_desk.ledger.call(call.id)
    assert (stored.billed_units, stored.talked_ms, stored.duration_seconds) == (1, 60_000, 60)


async def test_a_unit_that_was_due_and_not_proven_when_the_call_ends_is_free(still_desk):
    call = await started(still_desk)
    prove_alive(call, call.connected_at.monotonic + 59.9)
    at = shifted(call.connected_at, call.connected_at.monotonic + 60.5)
    await still_desk.lifecycle.end_soon(call, CallEvent.HANG_UP, EndReason.MANUAL, "test", at=at)
    assert await units(still_desk, call) == []
    assert await still_desk.balance(call.user_id) == 1000


async def test_the_clock_ticks_by_itself(desk_with):
    async with desk_with(unit_s=0.1) as desk:
        call = await started(desk)
        prove_alive(call, call.connected_at.monotonic + 60.0)
        await eventually(
            lambda: len(desk.audience.payloads("call_tick", call.parties.user)) < 4 and "fewer than 4 ticks"
        )
        desk.lifecycle.end_for(call, EndReason.ADMIN, "test")
        await ended(call)
        stored = (await desk.ledger.billing(call.id)).units
        assert [unit.index for unit in stored] == list(range(1, len(stored) + 1))
        due_ms = [unit.charged_at_ms - call.connected_at.utc_ms for unit in stored]
        assert due_ms == pytest.approx([100 * unit.index for unit in stored], abs=20), "due times do not drift"


async def test_units_that_are_due_within_a_moment_share_a_commit(desk_with):
    apart_s = TOGETHER_S / 5
    async with desk_with(unit_s=0.2) as desk:
        calls = [await desk.talking(f"call-{number}", price=0) for number in range(25)]
        commits: list[str] = []
        desk.ledger.observe_writes(lambda name, _seconds, _took: commits.append(name))
        first = now()
        for number, call in enumerate(calls):
            call.connected_at = shifted(first, first.monotonic + number * apart_s)
            call.clock = TalkClock()
            call.clock.start(call.connected_at)
            prove_alive(call, call.connected_at.monotonic + 0.3)  # for one unit
            desk.meter.follow(call)
        ticked = [partial(desk.audience.payloads, "call_tick", call.parties.user) for call in calls]
        await eventually(lambda: not all(ticks() for ticks in ticked) and "some have not ticked")
        assert 0 < commits.count("charge_units") <= len(calls) * apart_s / TOGETHER_S + 1


async def test_a_call_that_ends_while_it_ticks_is_told_every_unit_before_its_end(desk_with):
    """Calls end at every moment around a charge: what was charged was told, and nothing after the end."""
    rounds = 40
    async with desk_with(unit_s=0.05) as desk:
        calls = [await desk.talking(f"call-{number}") for number in range(rounds)]
        for call in calls:
            await desk.give(call.user_id, 10 * PRICE)
        for number, call in enumerate(calls):
            call.connected_at = now()
            call.clock = TalkClock()
            call.clock.start(call.connected_at)
            prove_alive(call, call.connected_at.monotonic + 1.0)  # until each has ended
            desk.meter.follow(call)
            asyncio.get_running_loop().call_later(
                0.04 + number / rounds * 0.04,
                desk.lifecycle.end_soon,
                call,
                CallEvent.HANG_UP,
                EndReason.MANUAL,
                "test",
            )
        await eventually(lambda: len(desk.registry) and f"{len(desk.registry)} calls are left")
        charged = 0
        for call in calls:
            told = [event for event in desk.audience.events if event.call_id == call.id]
            assert [event.type for event in told[-2:]] == ["call_end", "call_end"]
            ticks = [event for event in told if event.type == "call_tick" and event.to == call.parties.user]
            stored = await units(desk, call)
            assert [json.decode(tick.payload)["tickNumber"] for tick in ticks] == [index for index, _, _ in stored]
            assert json.decode(told[-1].payload)["totalChargedPoints"] == PRICE * len(stored)
            assert await desk.balance(call.user_id) == (10 - len(stored)) * PRICE
            charged += len(stored)
        assert charged, "no call has come to its first unit: this test saw nothing"
