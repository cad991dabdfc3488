"""Units that can't be stored when they are due: the ledger is in trouble, the call moves, or it is another node's."""

from __future__ import annotations

import asyncio

from app.clock import now, shifted
from app.ledger import Ledger
from schemas.call import CallState
from tests.app.calls.metered_calls import started, time_is, units
from tests.app.conftest import PRICE, ended, prove_alive
from tests.app.ledger.ledger_samples import move_media
from tests.conftest import eventually

IMPATIENT_S = 0.8  # the ledger's timeout, where a test has the database locked


async def test_units_that_cannot_be_stored_wait_in_order_and_are_charged_once(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S, runs=False) as desk:
        call = await started(desk)
        with desk.locked():
            await time_is(desk, call, 60)
            await time_is(desk, call, 120)
            assert desk.audience.payloads("call_tick") == [], "nobody is told before it is stored"
            assert call.live
        await time_is(desk, call, 121)
        await time_is(desk, call, 122)
        await time_is(desk, call, 123)
        assert await units(desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]
        assert await desk.balance(call.user_id) == 1000 - 2 * PRICE


async def test_a_unit_whose_commit_was_cut_off_is_found_and_not_charged_again(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S, runs=False) as desk:
        call = await started(desk)
        async with desk.stalled_commit():
            await time_is(desk, call, 60)
            assert desk.audience.payloads("call_tick") == []
        await time_is(desk, call, 61)
        await time_is(desk, call, 120)
        assert await units(desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]
        assert [tick["tickNumber"] for tick in desk.audience.payloads("call_tick", call.parties.user)] == [1, 2]
        assert await desk.balance(call.user_id) == 1000 - 2 * PRICE


async def test_a_call_whose_units_cannot_be_stored_ends_after_the_grace_with_all_that_it_lived(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S, grace_s=IMPATIENT_S / 4, runs=False) as desk:
        call = await started(desk)
        with desk.locked():
            await time_is(desk, call, 60)
            assert call.live
            await time_is(desk, call, 120)
            assert call.state is CallState.ENDING
            assert desk.audience.payloads("call_end") == []
        await ended(call)
        assert await units(desk, call) == [(1, PRICE, 60), (2, PRICE, 120)]
        assert desk.audience.types(call.parties.user)[-1] == "call_end"
        [end] = desk.audience.payloads("call_end", call.parties.user)
        assert (end["reason"], end["totalChargedPoints"]) == ("system_error", 2 * PRICE)


async def test_each_trouble_of_the_ledger_has_a_grace_of_its_own(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S, grace_s=IMPATIENT_S / 4, runs=False) as desk:
        call = await started(desk)
        with desk.locked():
            await time_is(desk, call, 61)
            prove_alive(call, call.connected_at.monotonic + 121)
            desk.meter._collect(shifted(call.connected_at, call.connected_at.monotonic + 121))
        async with desk.meter._storing:
            await desk.meter._store()
        assert [number for number, _, _ in await units(desk, call)] == [1], "the second one waits still"
        with desk.locked():
            await time_is(desk, call, 122)
            assert call.live, "it has waited for less than a grace"


async def test_a_unit_that_waits_is_charged_for_the_room_that_the_call_is_in_by_then(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S, runs=False) as desk:
        call = await started(desk)
        with desk.locked():
            await time_is(desk, call, 60)
        call.epoch = (await move_media(desk.journal, call.id, at_ms=now().utc_ms)).call.epoch
        await time_is(desk, call, 61)
        assert await units(desk, call) == [(1, PRICE, 60)]


async def test_a_unit_that_is_charged_while_the_call_moves_waits_for_the_move(still_desk):
    call = await started(still_desk)
    async with call.lock:  # as it is held while a room is opened and stored
        moved = await move_media(still_desk.journal, call.id, at_ms=now().utc_ms)
        await time_is(still_desk, call, 60)
        assert (await units(still_desk, call), still_desk.meter.waiting) == ([], 1)
        assert call.live
        call.epoch = moved.call.epoch
    await time_is(still_desk, call, 61)
    assert (await units(still_desk, call), still_desk.meter.waiting) == ([(1, PRICE, 60)], 0)


async def test_a_call_that_another_node_has_by_now_is_forgotten_without_a_word(still_desk):
    call, own = await started(still_desk), await still_desk.talking("own")
    await still_desk.give(own.user_id, 1000)
    still_desk.meter.follow(own)
    async with Ledger.open(f"sqlite:///{still_desk.path}") as other:
        [taken, _] = (await other.recover(now_ms=now().utc_ms, window_ms=60_000)).adopted
        assert taken.call.id == call.id
        told = len(still_desk.audience.events)
        prove_alive(own, own.connected_at.monotonic + 60)
        await time_is(still_desk, call, 60)
        assert (call.live, call.id in still_desk.registry, still_desk.meter.waiting) == (False, False, 0)
        assert still_desk.audience.events[told:] == []
        assert await units(still_desk, call) == []
        assert await still_desk.balance(call.user_id) == 1000
        stored = await other.call(call.id)
        assert (stored.state, stored.end_reason) == (CallState.INTERRUPTED, None)


async def test_the_running_clock_tries_again_until_the_ledger_is_back(desk_with):
    async with desk_with(unit_s=0.1, timeout_s=IMPATIENT_S) as desk:
        with desk.locked():
            lock_is_noticed = asyncio.create_task(desk.ledger.ping())
            await asyncio.wait([lock_is_noticed])
            assert lock_is_noticed.exception() is not None
        call = await started(desk)
        prove_alive(call, call.connected_at.monotonic + 60.0)
        with desk.locked():
            await eventually(lambda: not desk.meter._waiting and "nothing waits")
            await eventually(lambda: desk.meter._waiting[call.id].since is None and "storing has not failed yet")
        await eventually(lambda: desk.audience.payloads("call_tick", call.parties.user) == [] and "no tick")
        assert desk.audience.payloads("call_tick", call.parties.user)[0]["tickNumber"] == 1
