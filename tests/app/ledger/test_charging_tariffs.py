"""What units cost by each kind of tariff: see ``app/tariffs.py`` for when they are due."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import json

from app.ledger import Ledger
from app.ledger.steps import FIRST_EPOCH
from app.ledger.values import Charged, PointsGone, UnitDue
from app.tariffs import due_s, due_together
from schemas.call import CallState
from schemas.signaling import TickStatus
from schemas.tariff import Tariff
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    OTOMO,
    USER,
    balance,
    charged,
    credit,
    end,
    matched_call,
    move,
    open_call,
)

MINUTES = Tariff(unit_seconds=60, unit_points=100)
BEGUN = Tariff(unit_seconds=60, unit_points=100, charge="started")
SIX = Tariff(unit_seconds=60, unit_points=100, minimum_units=6)
SIX_BEGUN = Tariff(unit_seconds=60, unit_points=100, minimum_units=6, charge="started")


async def talking(ledger: Ledger, tariff: Tariff, *, points: int = 0) -> None:
    if points:
        await credit(ledger, points)
    await open_call(ledger, matched_call(price_per_minute=tariff.price_per_minute, tariff=tariff))
    await move(ledger, "call", CallState.TALKING, cause="rtp", at_ms=CONNECTED)


def due(tariff: Tariff, index: int) -> UnitDue:
    talked_ms = round(1000 * due_s(tariff, index))
    return UnitDue("call", FIRST_EPOCH, index, CONNECTED + talked_ms, talked_ms, due_together(tariff, index))


async def test_a_call_is_charged_by_the_tariff_it_was_made_with(ledger: Ledger) -> None:
    blocks = Tariff(unit_seconds=180, unit_points=301, max_seconds=3600)
    await talking(ledger, blocks, points=1000)
    stored = await ledger.call("call")
    assert stored is not None
    assert (stored.tariff, stored.price_per_minute) == (blocks, 101)
    assert charged(await ledger.charge_unit(due(blocks, 1))).unit.points == 301
    assert await balance(ledger) == 699
    assert await ledger.audit() == ()


@pytest.mark.parametrize("tariff", [SIX, SIX_BEGUN])
async def test_units_of_the_minimum_are_charged_together_with_one_tick(ledger: Ledger, tariff: Tariff) -> None:
    await talking(ledger, tariff, points=750)
    result = charged(await ledger.charge_unit(due(tariff, 1)))
    assert [(unit.index, unit.points, unit.balance_after) for unit in result.units] == [
        (index, 100, 750 - 100 * index) for index in range(1, 7)
    ]
    assert (result.points, result.status) == (600, TickStatus.OK)
    assert [(event.type, event.to) for event in result.events] == [
        ("call_tick", USER),
        ("call_tick", OTOMO),
        ("wallet_update", USER),
    ]
    tick = json.decode(result.events[0].payload)
    said = {name: tick[name] for name in ("tickNumber", "chargedPoints", "totalChargedPoints", "userBalance")}
    assert said == {"tickNumber": 6, "chargedPoints": 600, "totalChargedPoints": 600, "userBalance": 150}
    assert (await ledger.billing("call")).units == result.units
    assert charged(await ledger.charge_unit(due(tariff, 7))).unit.index == 7
    assert await ledger.audit() == ()


@pytest.mark.parametrize("tariff", [SIX, SIX_BEGUN])
async def test_a_second_try_of_the_minimum_finds_all_of_it(ledger: Ledger, other: Ledger, tariff: Tariff) -> None:
    await talking(ledger, tariff, points=1000)
    results = await asyncio.gather(*(one.charge_unit(due(tariff, 1)) for one in (ledger, other) for _ in range(3)))
    assert sorted(charged(one).already for one in results) == [False, *[True] * 5]
    assert len({(charged(one).units, charged(one).events, charged(one).status) for one in results}) == 1
    assert (await balance(ledger), len((await ledger.billing("call")).units)) == (400, 6)


async def test_a_minimum_that_is_over_takes_what_is_left(ledger: Ledger) -> None:
    await talking(ledger, SIX, points=250)
    result = charged(await ledger.charge_unit(due(SIX, 1)))
    assert [unit.points for unit in result.units] == [100, 100, 50]
    assert result.status is TickStatus.ENDED
    again = charged(await ledger.charge_unit(due(SIX, 1)))
    assert again == Charged(result.unit, result.status, result.events, already=True, before=result.before)
    assert (await end(ledger, seconds=60)).billed_units == 3
    assert await ledger.audit() == ()


async def test_a_free_minimum_needs_no_wallet(ledger: Ledger) -> None:
    free = Tariff(unit_seconds=60, unit_points=0, minimum_units=3)
    await talking(ledger, free)
    result = charged(await ledger.charge_unit(due(free, 1)))
    assert [(unit.index, unit.points, unit.balance_after) for unit in result.units] == [
        (index, 0, None) for index in (1, 2, 3)
    ]
    assert (result.status, len(result.events)) == (TickStatus.OK, 2)


@pytest.mark.parametrize(
    ("points", "status"), [(200, TickStatus.OK), (199, TickStatus.LOW_BALANCE), (100, TickStatus.LOW_BALANCE)]
)
async def test_a_begun_unit_that_was_paid_is_given_whatever_is_left(
    ledger: Ledger, points: int, status: TickStatus
) -> None:
    await talking(ledger, BEGUN, points=points)
    assert charged(await ledger.charge_unit(due(BEGUN, 1))).status is status


@pytest.mark.parametrize(("tariff", "points"), [(BEGUN, 99), (SIX_BEGUN, 599), (BEGUN, 0)])
async def test_what_begins_is_paid_in_full_or_not_at_all(ledger: Ledger, tariff: Tariff, points: int) -> None:
    await talking(ledger, tariff, points=points)
    assert await ledger.charge_unit(due(tariff, 1)) == PointsGone("call", "user")
    assert await balance(ledger) == (points or None)
    assert (await ledger.billing("call")).units == ()


async def test_an_audit_finds_a_unit_that_was_not_due_yet(ledger: Ledger) -> None:
    """Also of a live call: its tariff says when."""
    await talking(ledger, SIX_BEGUN, points=1000)
    charged(await ledger.charge_unit(due(SIX_BEGUN, 1)))
    assert await ledger.audit() == ()
    early = UnitDue("call", FIRST_EPOCH, 7, CONNECTED + 1, 359_999)
    charged(await ledger.charge_unit(early))
    assert await ledger.audit() == ("call call: 7 units of 60 s in 359999 ms",)


async def test_many_units_share_transactions_by_their_number(ledger: Ledger) -> None:
    """Minimums weigh as much as they have units."""
    hundreds = Tariff(unit_seconds=1, unit_points=1, minimum_units=300)
    await credit(ledger, 10_000)
    names = [f"call-{i}" for i in range(5)]
    for name in names:
        await open_call(ledger, matched_call(name, price_per_minute=60, tariff=hundreds))
        await move(ledger, name, CallState.TALKING, cause="rtp", at_ms=CONNECTED)
    results = await ledger.charge_units([UnitDue(name, FIRST_EPOCH, 1, CONNECTED, 1000, 300) for name in names])
    assert [len(charged(one).units) for one in results] == [300] * 5
    assert [charged(one).unit.balance_after for one in results] == [9700, 9400, 9100, 8800, 8500]
