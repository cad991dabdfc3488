from __future__ import annotations

import asyncio

import pytest
from msgspec import json
from sqlalchemy import text

from app.ledger import Ledger
from app.ledger.errors import BalanceTooHigh, BalanceTooLow, KeyReused
from app.ledger.values import MAX_POINTS, Rate, Wallet
from schemas.signaling import TickStatus
from schemas.tariff import Tariff
from tests.app.ledger.ledger_samples import START, USER, balance, charged, credit, talking, unit


async def test_an_adjustment_makes_the_wallet_and_tells_its_owner(ledger: Ledger) -> None:
    assert await ledger.balance("user") is None
    adjusted = await ledger.adjust("user", 500, reason="bought", idempotency_key="order 1", at_ms=START)
    assert adjusted.wallet == Wallet("user", 500, START) == await ledger.balance("user")
    [event] = adjusted.events
    assert (event.to, event.type) == (USER, "wallet_update")
    said = {
        "balance": 500,
        "reason": "adjustment",
        "timestamp": "2027-01-15T08:00:00.000Z",
    }
    assert json.decode(event.payload) == said
    assert await ledger.events_since(USER, 0) == (event,)


async def test_the_same_key_counts_once_and_answers_what_it_did(ledger: Ledger) -> None:
    first = await ledger.adjust("user", 500, reason="bought", idempotency_key="order", at_ms=START)
    await ledger.adjust("user", -200, reason="refund", idempotency_key="refund", at_ms=START + 1)
    again = await ledger.adjust("user", 500, reason="bought", idempotency_key="order", at_ms=START + 2)
    assert again.already
    assert (again.wallet, again.events) == (first.wallet, ())
    assert await balance(ledger) == 300
    assert await ledger.latest_seq() == 2


async def test_the_same_key_counts_once_however_many_bring_it(ledger: Ledger, other: Ledger) -> None:
    tries = (each.adjust("user", 7, reason="gift", idempotency_key="key", at_ms=START) for each in (ledger, other) * 8)
    results = await asyncio.gather(*tries)
    assert sum(not result.already for result in results) == 1
    assert await balance(ledger) == 7
    assert await ledger.audit() == ()


@pytest.mark.parametrize(
    ("user_id", "amount", "reason"), [("else", 5, "gift"), ("user", 6, "gift"), ("user", 5, "loot")]
)
async def test_a_key_is_not_used_for_something_else(ledger: Ledger, user_id: str, amount: int, reason: str) -> None:
    await ledger.adjust("user", 5, reason="gift", idempotency_key="key", at_ms=START)
    with pytest.raises(KeyReused):
        await ledger.adjust(user_id, amount, reason=reason, idempotency_key="key", at_ms=START)
    assert await ledger.balance("else") is None
    assert await balance(ledger) == 5


async def test_of_two_users_with_one_key_at_once_one_is_refused(ledger: Ledger, other: Ledger) -> None:
    tries = [
        each.adjust(f"user-{i}", 5, reason="gift", idempotency_key="key", at_ms=START)
        for i in range(4)
        for each in (ledger, other)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    done = [result for result in results if not isinstance(result, BaseException)]
    assert sum(not result.already for result in done) == 1
    assert len({result.wallet.user_id for result in done}) == 1
    assert all(isinstance(result, KeyReused) for result in results if isinstance(result, BaseException))
    assert await ledger.audit() == ()


async def test_a_balance_never_goes_below_zero(ledger: Ledger) -> None:
    with pytest.raises(BalanceTooLow):
        await credit(ledger, -1)
    assert await ledger.balance("user") is None
    await credit(ledger, 10)
    with pytest.raises(BalanceTooLow) as low:
        await credit(ledger, -11, key="second")
    assert low.value.balance == 10
    await credit(ledger, -10, key="third")
    assert await balance(ledger) == 0
    assert await ledger.latest_seq() == 2


async def test_many_debits_at_once_take_no_more_than_there_is(ledger: Ledger, other: Ledger) -> None:
    await credit(ledger, 50)
    tries = [credit(each, -20, key=f"{i} {j}") for i in range(4) for j, each in enumerate((ledger, other))]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, BalanceTooLow) for result in results) == len(tries) - 2
    assert await balance(ledger) == 10
    assert await ledger.audit() == ()


async def test_a_balance_has_an_upper_end(ledger: Ledger) -> None:
    await credit(ledger, MAX_POINTS)
    with pytest.raises(BalanceTooHigh):
        await credit(ledger, 1, key="second")
    with pytest.raises(ValueError, match="at most"):
        await credit(ledger, MAX_POINTS + 1, key="third")
    assert await balance(ledger) == MAX_POINTS


async def test_a_call_goes_on_with_points_that_came_meanwhile(ledger: Ledger) -> None:
    await credit(ledger, 110)
    await talking(ledger)
    assert charged(await ledger.charge_unit(unit(1))).status is TickStatus.LOW_BALANCE
    await credit(ledger, 500, key="bought")
    assert charged(await ledger.charge_unit(unit(2))).unit.balance_after == 410


async def test_an_otomo_can_have_a_price_of_their_own(ledger: Ledger) -> None:
    assert await ledger.rate("otomo") is None
    await ledger.set_rate("otomo", Rate(250), at_ms=START)
    await ledger.set_rate("otomo", Rate(0), at_ms=START + 1)
    assert await ledger.rate("otomo") == Rate(0)
    assert await ledger.rate("another") is None


async def test_a_tariff_counts_until_the_release_before_this_one_sets_a_price(ledger: Ledger) -> None:
    blocks = Tariff(unit_seconds=180, unit_points=301, charge="started")
    await ledger.set_rate("otomo", Rate(blocks.price_per_minute, blocks), at_ms=START)
    assert await ledger.rate("otomo") == Rate(101, blocks)
    theirs = text("UPDATE rates SET price_per_minute = 70, updated_at_ms = 1")  # it knows no other column
    await ledger._database.write(lambda tx: tx.execute(theirs))
    assert await ledger.rate("otomo") == Rate(70)
