from __future__ import annotations

import asyncio

import pytest
from msgspec import json
from sqlalchemy import insert

from app.ledger import Ledger, charging
from app.ledger.steps import FIRST_EPOCH
from app.ledger.tables import call_units
from app.ledger.values import Charged, PointsGone, Unit, UnitDue, UnitRefused
from schemas.call import CallState
from schemas.signaling import TickStatus
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    OTOMO,
    START,
    USER,
    balance,
    charged,
    credit,
    end,
    matched_call,
    move,
    open_call,
    talking,
    unit,
)


@pytest.mark.parametrize(
    ("points", "price", "costs", "left", "status"),
    [
        (1000, 100, 100, 900, TickStatus.OK),
        (200, 100, 100, 100, TickStatus.OK),
        (199, 100, 100, 99, TickStatus.LOW_BALANCE),
        (101, 100, 100, 1, TickStatus.LOW_BALANCE),
        (100, 100, 100, 0, TickStatus.ENDED),
        (99, 100, 99, 0, TickStatus.ENDED),
        (1, 100, 1, 0, TickStatus.ENDED),
        (1, 1, 1, 0, TickStatus.ENDED),
        (5, 0, 0, 5, TickStatus.OK),
    ],
)
async def test_a_unit_costs_the_price_or_what_is_left(
    ledger: Ledger, points: int, price: int, costs: int, left: int, status: TickStatus
) -> None:
    await credit(ledger, points)
    await talking(ledger, price=price)
    result = charged(await ledger.charge_unit(unit(1)))
    assert result.unit == Unit("call", 1, costs, costs, left, 60, CONNECTED + 60_000)
    assert result.status is status
    assert await balance(ledger) == left
    assert (await ledger.billing("call")).units == (result.unit,)
    assert await ledger.audit() == ()


async def test_both_parties_hear_of_a_unit_and_only_the_user_of_the_balance(ledger: Ledger) -> None:
    await credit(ledger, 300)
    await talking(ledger)
    await ledger.charge_unit(unit(1))
    result = charged(await ledger.charge_unit(unit(2)))
    tick = {
        "callId": "call",
        "tickNumber": 2,
        "chargedPoints": 100,
        "totalChargedPoints": 200,
        "durationSeconds": 120,
        "timestamp": "2027-01-15T08:02:05.000Z",
        "status": "ok",
    }
    assert [(event.to, event.type, json.decode(event.payload)) for event in result.events] == [
        (USER, "call_tick", {**tick, "userBalance": 100}),
        (OTOMO, "call_tick", tick),
        (USER, "wallet_update", {"balance": 100, "reason": "call_tick", "timestamp": "2027-01-15T08:02:05.000Z"}),
    ]
    assert (await ledger.events_since(OTOMO, 0))[-1] == result.events[1]


async def test_a_unit_that_is_tried_again_is_answered_as_it_was_stored(ledger: Ledger) -> None:
    await credit(ledger, 150)
    await talking(ledger)
    first = charged(await ledger.charge_unit(unit(1)))
    second = charged(await ledger.charge_unit(unit(2)))
    seq = await ledger.latest_seq()
    await end(ledger)
    for stored in (first, second):
        again = charged(
            await ledger.charge_unit(UnitDue("call", FIRST_EPOCH, stored.unit.index, START + 999_999, 999_000))
        )
        assert again.already
        assert (again.unit, again.status, again.events) == (stored.unit, stored.status, stored.events)
    assert await ledger.latest_seq() == seq + 2  # the end, told to both
    assert await balance(ledger) == 0
    assert await ledger.audit() == ()


async def test_of_many_who_charge_a_unit_one_does(ledger: Ledger, other: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    results = [
        charged(result) for result in await asyncio.gather(*(each.charge_unit(unit(1)) for each in (ledger, other) * 5))
    ]
    assert sum(not result.already for result in results) == 1
    assert len({result.unit for result in results}) == 1
    assert await balance(ledger) == 900
    assert await ledger.audit() == ()


@pytest.mark.parametrize("index", [-1, 0, 2, 3, 1000])
async def test_units_come_in_order(ledger: Ledger, index: int) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    assert await ledger.charge_unit(unit(index)) == UnitRefused("call", index, CallState.TALKING, 1)
    assert await balance(ledger) == 1000


async def test_only_a_talking_call_is_charged(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    assert await ledger.charge_unit(unit(1)) == UnitRefused("call", 1, None, None)
    await open_call(ledger, matched_call())
    assert await ledger.charge_unit(unit(1)) == UnitRefused("call", 1, CallState.MATCHED, 1)
    await move(ledger, "call", CallState.TALKING, cause="rtp", at_ms=CONNECTED)
    charged(await ledger.charge_unit(unit(1)))
    await end(ledger)
    assert await ledger.charge_unit(unit(2)) == UnitRefused("call", 2, CallState.ENDED, 2)
    assert await balance(ledger) == 900


async def test_an_empty_or_missing_wallet_is_not_charged(ledger: Ledger) -> None:
    await talking(ledger)
    assert await ledger.charge_unit(unit(1)) == PointsGone("call", "user")
    await credit(ledger, 0)
    assert await ledger.charge_unit(unit(1)) == PointsGone("call", "user")
    assert (await ledger.billing("call")).units == ()
    assert await ledger.audit() == ()


async def test_a_free_call_ticks_and_touches_no_wallet(ledger: Ledger) -> None:
    await talking(ledger, price=0)
    for index in (1, 2):
        result = charged(await ledger.charge_unit(unit(index)))
        assert result.unit == Unit("call", index, 0, 0, None, index * 60, CONNECTED + index * 60_000)
        assert [event.type for event in result.events] == ["call_tick", "call_tick"]
        assert result.status is TickStatus.OK
    assert await ledger.balance("user") is None
    assert (await ledger.usage("user")).items == ()
    assert (await end(ledger)).billed_units == 2


async def test_units_of_many_calls_are_charged_at_once_and_none_spoils_another(ledger: Ledger) -> None:
    await credit(ledger, 250)
    await credit(ledger, 1000, "rich")
    for call_id, user_id in (("a", "user"), ("b", "rich"), ("c", "user"), ("d", "user"), ("e", "user"), ("f", "poor")):
        await talking(ledger, call_id, user_id)
    due = [unit(1, "a"), unit(1, "b"), unit(1, "c"), unit(2, "b"), unit(1, "b"), unit(9, "a")]
    due += [unit(1, "nowhere"), unit(1, "d"), unit(1, "e"), unit(1, "f")]
    a, b, c, b2, b_again, skipped, nowhere, d, e, f = await ledger.charge_units(due)
    assert [charged(result).unit.balance_after for result in (a, c, d)] == [150, 50, 0]
    assert charged(d).unit.points == 50
    assert charged(d).status is TickStatus.ENDED
    assert [charged(result).unit.balance_after for result in (b, b2)] == [900, 800]
    assert charged(b_again) == Charged(charged(b).unit, TickStatus.OK, charged(b).events, already=True)
    assert skipped == UnitRefused("a", 9, CallState.TALKING, 2)
    assert nowhere == UnitRefused("nowhere", 1, None, None)
    assert e == PointsGone("e", "user")
    assert f == PointsGone("f", "poor")
    for result in (a, b, c, b2, d):
        assert {event.call_id for event in charged(result).events} == {charged(result).unit.call_id}
        assert len(charged(result).events) == 3
    assert await ledger.audit() == ()


async def test_a_batch_may_be_longer_than_a_transaction_takes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charging, "MAX_BATCH", 3)
    await credit(ledger, 10_000)
    for i in range(8):
        await talking(ledger, f"call-{i}")
    results = await ledger.charge_units([unit(1, f"call-{i}") for i in range(8)])
    assert [charged(result).unit.call_id for result in results] == [f"call-{i}" for i in range(8)]
    assert await ledger.charge_units([]) == []
    assert await balance(ledger) == 9_200


async def test_a_call_whose_rows_contradict_each_other_does_not_keep_others_from_being_charged(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await credit(ledger, 1000)
    for call_id in ("good", "broken", "fine"):
        await talking(ledger, call_id)
    stray = {"call_id": "broken", "unit_index": 1, "points": 0, "total_points": 0}
    await ledger._database.write(
        lambda tx: tx.execute(insert(call_units), {**stray, "duration_seconds": 60, "charged_at_ms": 1})
    )
    good, broken, fine = await ledger.charge_units([unit(1, "good"), unit(1, "broken"), unit(1, "fine")])
    assert [charged(result).unit.balance_after for result in (good, fine)] == [900, 800]
    assert broken == UnitRefused("broken", 1, None, None)
    assert "contradicts" in caplog.text
    assert await ledger.audit() == ("call broken: says 0 units for 0 points, has 1 up to 1 for 0",)


async def test_units_outlive_their_events(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    first = charged(await ledger.charge_unit(unit(1)))
    await ledger.prune_events(before_ms=CONNECTED + 60_001)
    again = charged(await ledger.charge_unit(unit(1)))
    assert again == Charged(first.unit, first.status, (), already=True)


async def test_a_statement_has_one_line_per_charged_call(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    for i in range(3):
        await open_call(ledger, matched_call(f"call-{i}", created_at_ms=START + i))
        await move(ledger, f"call-{i}", CallState.TALKING, cause="rtp", at_ms=CONNECTED)
    await ledger.charge_units([unit(1, "call-0"), unit(2, "call-0"), unit(1, "call-2"), unit(2, "call-2")])
    await end(ledger, "call-2", seconds=130)
    page = await ledger.usage("user", limit=1)
    [newest] = page.items
    assert (newest.call_id, newest.otomo_id, newest.billed_units, newest.billed_points) == ("call-2", "otomo", 2, 200)
    assert (newest.duration_seconds, newest.ended_at_ms) == (130, CONNECTED + 130_000)
    last = await ledger.usage("user", limit=1, cursor=page.next_cursor)
    assert [(line.call_id, line.ended_at_ms) for line in last.items] == [("call-0", None)]
    assert last.next_cursor is None
