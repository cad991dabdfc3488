"""When units are charged by each kind of tariff, and when a call ends for want of points."""

from __future__ import annotations

import pytest

from app.calls.call import EndReason, LiveCall
from app.clock import shifted
from schemas.tariff import Tariff
from tests.app.calls.metered_calls import started, time_is, units
from tests.app.conftest import Desk, ended, prove_alive

BEGUN = Tariff(unit_seconds=60, unit_points=100, charge="started")
SIX = Tariff(unit_seconds=60, unit_points=100, minimum_units=6)
SIX_BEGUN = Tariff(unit_seconds=60, unit_points=100, minimum_units=6, charge="started")
FIVE_FREE = Tariff(unit_seconds=60, unit_points=100, free_seconds=300)


async def indexes(desk: Desk, call: LiveCall) -> list[int]:
    return [index for index, _, _ in await units(desk, call)]


async def test_a_begun_minute_costs_from_its_first_moment(still_desk):
    call = await started(still_desk, tariff=BEGUN)
    await time_is(still_desk, call, 0.001)
    assert await units(still_desk, call) == [(1, 100, 0)]
    await time_is(still_desk, call, 59.999)
    assert await indexes(still_desk, call) == [1]
    await time_is(still_desk, call, 60.0)
    assert await units(still_desk, call) == [(1, 100, 0), (2, 100, 60)]


async def test_a_first_minute_begins_to_cost_when_both_are_heard(still_desk):
    call = await started(still_desk, tariff=BEGUN)
    call.liveness["otomo"].last_proof = None
    for seconds in (0.0, 1.0, 4.0):
        await time_is(still_desk, call, seconds, alive=False)
        assert await units(still_desk, call) == []
    prove_alive(call, call.connected_at.monotonic + 4.5)
    await time_is(still_desk, call, 4.6, alive=False)
    assert await indexes(still_desk, call) == [1]


async def test_a_minute_that_begins_after_an_interruption_waits_for_both(still_desk):
    """The one who was there all the time is not proven yet at the moment at which the clock runs on."""
    call = await started(still_desk, tariff=BEGUN)
    await time_is(still_desk, call, 10.0)
    call.clock.stop(call.connected_at.monotonic + 60.0)
    call.clock.start(shifted(call.connected_at, call.connected_at.monotonic + 90.0))
    still_desk.meter.follow(call)
    call.liveness["user"].last_proof = call.connected_at.monotonic + 89.9
    call.liveness["otomo"].last_proof = call.connected_at.monotonic + 90.0
    await time_is(still_desk, call, 90.1, alive=False)
    assert await indexes(still_desk, call) == [1]
    await time_is(still_desk, call, 90.5)
    assert await indexes(still_desk, call) == [1, 2]


@pytest.mark.parametrize(("tariff", "first_at", "seventh_at"), [(SIX, 60.0, 420.0), (SIX_BEGUN, 0.0, 360.0)])
async def test_six_minutes_are_charged_at_least_and_at_once(still_desk, tariff, first_at, seventh_at):
    call = await started(still_desk, tariff=tariff)
    await time_is(still_desk, call, first_at)
    assert await indexes(still_desk, call) == [1, 2, 3, 4, 5, 6]
    await time_is(still_desk, call, seventh_at - 0.001)
    assert len(await units(still_desk, call)) == 6
    await time_is(still_desk, call, seventh_at)
    assert (await units(still_desk, call))[6:] == [(7, 100, int(seventh_at))]


async def test_five_minutes_are_free_and_then_each_costs(still_desk):
    call = await started(still_desk, tariff=FIVE_FREE)
    await time_is(still_desk, call, 359.999)
    assert await units(still_desk, call) == []
    await time_is(still_desk, call, 420.0)
    await time_is(still_desk, call, 420.0)
    assert await units(still_desk, call) == [(1, 100, 360), (2, 100, 420)]


async def test_a_begun_minute_that_can_not_be_paid_ends_the_call_where_the_paid_one_is_over(still_desk):
    call = await started(still_desk, tariff=BEGUN, points=199)
    await time_is(still_desk, call, 0.001)
    await time_is(still_desk, call, 59.9)
    assert call.live
    await time_is(still_desk, call, 60.0)
    await ended(call)
    assert call.end_reason is EndReason.LOW_BALANCE
    assert (await indexes(still_desk, call), await still_desk.balance(call.user_id)) == ([1], 99)


async def test_who_takes_over_a_call_goes_on_after_its_minimum(still_desk):
    call = await started(still_desk, tariff=SIX)
    await time_is(still_desk, call, 60.0)
    still_desk.meter.forget(call)
    still_desk.meter.follow(call, 6)
    await time_is(still_desk, call, 420.0)
    assert await indexes(still_desk, call) == [1, 2, 3, 4, 5, 6, 7]
