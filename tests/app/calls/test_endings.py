"""Calls that end by themselves, and what their parties are told before: here, 2 s and 1 s before the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.calls.call import EndReason, LiveCall
from app.clock import now
from schemas.tariff import Tariff
from tests.app.conftest import Desk, ended, prove_alive
from tests.conftest import eventually

HALVES = Tariff(unit_seconds=0.5, unit_points=100, max_seconds=3600)
BEGUN = Tariff(unit_seconds=0.5, unit_points=100, charge="started", max_seconds=3600)


@asynccontextmanager
async def talk(desk: Desk, tariff: Tariff, points: int, call_id: str = "call") -> AsyncIterator[LiveCall]:
    """A call that has just begun, in which both are there until the end."""
    call = await desk.talking(call_id, tariff=tariff)
    if points:
        await desk.give(call.user_id, points)
    call.clock.stop(now().monotonic)
    runs(desk, call)
    breath = asyncio.create_task(breathe(call))
    try:
        yield call
    finally:
        breath.cancel()
        await asyncio.wait([breath])


def runs(desk: Desk, call: LiveCall) -> None:
    prove_alive(call)
    call.clock.start(now())
    desk.meter.follow(call)
    desk.endings.follow(call)


async def breathe(call: LiveCall) -> None:
    while True:
        prove_alive(call)
        await asyncio.sleep(0.02)


def told(desk: Desk, call: LiveCall, role: str = "user") -> list[tuple[str, int]]:
    warnings = desk.audience.payloads("call_ending", call.parties.person(role))
    return [(one["reason"], one["secondsLeft"]) for one in warnings if one["callId"] == call.id]


def last(desk: Desk) -> dict[str, Any]:
    return desk.audience.payloads("call_end")[-1]


async def until_told(desk: Desk, call: LiveCall, expected: list[tuple[str, int]]) -> None:
    await eventually(lambda: told(desk, call) != expected and f"told {told(desk, call)}")


async def test_both_are_warned_before_the_points_are_gone(desk):
    async with talk(desk, HALVES, 450) as call:
        await ended(call)
    assert told(desk, call) == told(desk, call, "otomo") == [("low_balance", 2), ("low_balance", 1)]
    [first, _] = desk.audience.payloads("call_ending", call.parties.user)
    assert first["pointsNeeded"] == 150
    assert all("pointsNeeded" not in one for one in desk.audience.payloads("call_ending", call.parties.otomo))
    assert (call.end_reason, await desk.balance(call.user_id)) == (EndReason.LOW_BALANCE, 0)
    assert (last(desk)["durationSeconds"], last(desk)["totalChargedPoints"]) == (2, 450)


async def test_a_call_that_begins_near_its_end_is_warned_at_once_and_once(desk):
    async with talk(desk, HALVES, 150) as call:
        await ended(call)
    assert told(desk, call) == [("low_balance", 1)]


async def test_ticks_say_for_how_long_a_call_can_go_on(desk):
    async with talk(desk, HALVES, 450) as call:
        await ended(call)
    ticks = desk.audience.payloads("call_tick", call.parties.user)
    assert [tick["remainingSeconds"] for tick in ticks] == [2, 1, 1, 0, 0]
    assert all("remainingSeconds" not in tick for tick in desk.audience.payloads("call_tick", call.parties.otomo))


async def test_points_that_come_in_time_move_the_end_and_both_are_told_again(desk):
    async with talk(desk, HALVES, 250) as call:
        await until_told(desk, call, [("low_balance", 1)])
        await desk.give(call.user_id, 300)
        await until_told(desk, call, [("low_balance", 1), ("low_balance", 2)])
        await ended(call)
    assert told(desk, call) == [("low_balance", 1), ("low_balance", 2), ("low_balance", 1)]
    assert last(desk)["totalChargedPoints"] == 550


async def test_points_that_another_call_takes_bring_the_end_nearer(desk):
    async with talk(desk, HALVES, 10_000) as call:
        await eventually(lambda: not desk.audience.payloads("call_tick") and "nothing is charged")
        await desk.give(call.user_id, 250 - (await desk.balance(call.user_id) or 0))
        await eventually(lambda: not told(desk, call) and "nobody is warned")
        assert told(desk, call)[0][0] == "low_balance"
        await ended(call)
    assert await desk.balance(call.user_id) == 0


async def test_a_begun_unit_that_was_paid_is_given_and_then_the_call_is_cut(desk):
    async with talk(desk, BEGUN, 250) as call:
        await ended(call)
    assert call.end_reason is EndReason.LOW_BALANCE
    assert (await desk.balance(call.user_id), last(desk)["totalChargedPoints"]) == (50, 200)
    assert call.clock.talked_at(call.ended_at.monotonic) >= 1.0


async def test_a_call_whose_free_time_is_over_needs_points_or_ends(desk):
    free = Tariff(unit_seconds=1, unit_points=100, free_seconds=1, max_seconds=3600)
    async with talk(desk, free, 99) as call:
        await ended(call)
    assert (call.end_reason, last(desk)["totalChargedPoints"]) == (EndReason.LOW_BALANCE, 0)
    assert call.clock.talked_at(call.ended_at.monotonic) == 1.0
    [warning] = desk.audience.payloads("call_ending", call.parties.user)
    assert warning["pointsNeeded"] == 1


async def test_a_free_call_ends_after_its_longest_duration_to_the_moment(desk):
    free = Tariff(unit_seconds=60, unit_points=0, max_seconds=3)
    async with talk(desk, free, 0) as call:
        await ended(call)
    assert call.end_reason is EndReason.MAX_DURATION
    assert call.clock.talked_at(call.ended_at.monotonic) == 3.0
    assert told(desk, call) == [("max_duration", 2), ("max_duration", 1)]
    assert last(desk)["durationSeconds"] == 3


async def test_the_unit_at_the_end_of_the_longest_duration_is_charged(desk):
    block = Tariff(unit_seconds=1, unit_points=100, max_seconds=1)
    async with talk(desk, block, 1000) as call:
        await ended(call)
    assert (call.end_reason, last(desk)["totalChargedPoints"]) == (EndReason.MAX_DURATION, 100)


async def test_an_extension_moves_the_end_and_both_are_told_again(desk):
    free = Tariff(unit_seconds=60, unit_points=0, max_seconds=2)
    async with talk(desk, free, 0) as call:
        await until_told(desk, call, [("max_duration", 2), ("max_duration", 1)])
        call.extended_s = (await desk.journal.extend(call.id, 1)).extended_seconds
        desk.endings.reckon(call)
        await ended(call)
    assert told(desk, call)[2] in (("max_duration", 2), ("max_duration", 1))
    assert call.clock.talked_at(call.ended_at.monotonic) == 3.0


async def test_while_a_call_is_interrupted_its_end_comes_no_nearer(desk):
    free = Tariff(unit_seconds=60, unit_points=0, max_seconds=1)
    async with talk(desk, free, 0) as call:
        await until_told(desk, call, [("max_duration", 1)])
        call.clock.stop(now().monotonic)
        before = call.clock.talked_at(now().monotonic)
        await asyncio.sleep(1.2)  # longer than it had left
        assert call.live
        runs(desk, call)
        await ended(call)
    assert before < 1.0 == call.clock.talked_at(call.ended_at.monotonic)
    assert told(desk, call) == [("max_duration", 1)], "it was told already"


async def test_nothing_is_charged_at_the_end_for_one_who_is_not_there(desk):
    block = Tariff(unit_seconds=1, unit_points=100, max_seconds=1)
    call = await desk.talking(tariff=block)
    await desk.give(call.user_id, 1000)
    desk.meter.follow(call)
    desk.endings.follow(call)
    await ended(call)
    assert (call.end_reason, last(desk)["totalChargedPoints"]) == (EndReason.MAX_DURATION, 0)


async def test_points_that_were_given_at_another_node_are_seen_at_the_end(desk):
    """Nobody has told this node of them."""
    async with talk(desk, BEGUN, 100) as call:
        await eventually(lambda: not desk.audience.payloads("call_tick") and "nothing is charged")
        await desk.ledger.adjust(call.user_id, 100, reason="gift", idempotency_key="elsewhere", at_ms=now().utc_ms)
        await ended(call)
    assert last(desk)["totalChargedPoints"] == 200


async def test_a_call_that_is_forgotten_is_not_cut(desk):
    free = Tariff(unit_seconds=60, unit_points=0, max_seconds=1)
    async with talk(desk, free, 0) as call:
        desk.endings.forget(call)
        await asyncio.sleep(1.2)
        assert call.live
        assert desk.endings._calls == {} == dict(desk.endings._of_user)
