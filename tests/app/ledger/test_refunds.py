from __future__ import annotations

import asyncio

import pytest
from msgspec import json
from sqlalchemy import text

from app.ledger import Ledger
from app.ledger.errors import BalanceTooHigh, KeyReused, RefundTooHigh, UnknownCall
from app.ledger.values import MAX_POINTS, RefundAsked, RefundLine
from schemas.call import CallState
from tests.app.ledger.ledger_samples import START, USER, balance, charged, credit, end, talking, unit

LATER = START + 600_000


def asked(points: int | None = None, units: int | None = None, key: str = "k", reason: str = "noise") -> RefundAsked:
    return RefundAsked("call", points, units, reason, key)


async def lived(ledger: Ledger) -> None:
    """Three units, of 100, 100 and 50 points."""
    await credit(ledger, 250)
    await talking(ledger)
    for index in (1, 2, 3):
        charged(await ledger.charge_unit(unit(index)))


async def refunded(ledger: Ledger) -> int:
    call = await ledger.call("call")
    assert call is not None
    return call.refunded_points


async def test_a_refund_brings_points_back_and_tells_the_user(ledger: Ledger) -> None:
    await lived(ledger)
    await end(ledger, seconds=180)
    done = await ledger.refund(asked(120), at_ms=LATER)
    assert (done.wallet.balance, done.points, done.refunded_points, done.already) == (120, 120, 120, False)
    [event] = done.events
    assert (event.to, event.type, event.call_id) == (USER, "wallet_update", None)
    assert {name: json.decode(event.payload)[name] for name in ("balance", "reason")} == {
        "balance": 120,
        "reason": "refund",
    }
    billing = await ledger.billing("call")
    assert (billing.total_points, billing.refunded_points) == (250, 120)
    assert billing.refunds == (RefundLine(120, None, "noise", LATER),)
    [line] = (await ledger.usage("user")).items
    assert (line.billed_points, line.refunded_points) == (250, 120)
    assert await ledger.audit() == ()


async def test_refunds_of_units_give_back_the_last_ones_each_once(ledger: Ledger) -> None:
    await lived(ledger)
    assert (await ledger.refund(asked(units=1, key="a"), at_ms=LATER)).points == 50
    assert (await ledger.refund(asked(units=1, key="b"), at_ms=LATER)).points == 100
    with pytest.raises(RefundTooHigh, match="must be at most 1"):
        await ledger.refund(asked(units=2, key="c"), at_ms=LATER)
    assert (await ledger.refund(asked(units=1, key="c"), at_ms=LATER)).points == 100
    with pytest.raises(RefundTooHigh, match="must be at most 0"):
        await ledger.refund(asked(units=1, key="d"), at_ms=LATER)
    assert await balance(ledger) == 250 == await refunded(ledger)
    assert await ledger.audit() == ()


async def test_all_refunds_together_never_exceed_what_the_call_cost(ledger: Ledger, other: Ledger) -> None:
    await lived(ledger)
    asks = [one.refund(asked(100, key=f"{i}"), at_ms=LATER) for i, one in enumerate([ledger, other] * 5)]
    results = await asyncio.gather(*asks, return_exceptions=True)
    refused = [one for one in results if isinstance(one, BaseException)]
    assert len(results) - len(refused) == 2
    assert {(type(one), str(one)[:18]) for one in refused} == {(RefundTooHigh, "must be at most 50")}
    assert (await balance(ledger), await refunded(ledger)) == (200, 200)
    assert (await ledger.refund(asked(50, key="rest"), at_ms=LATER)).refunded_points == 250
    assert await ledger.audit() == ()


async def test_the_database_itself_refuses_to_give_back_more(ledger: Ledger) -> None:
    await lived(ledger)
    for wrong in (251, -1):
        with pytest.raises(Exception, match=r"(?i)constraint"):
            await ledger._database.write(
                lambda tx, wrong=wrong: tx.execute(text(f"UPDATE calls SET refunded_points = {wrong}"))
            )


async def test_the_same_key_counts_once_and_answers_as_the_first_time(ledger: Ledger, other: Ledger) -> None:
    await lived(ledger)
    results = await asyncio.gather(*(one.refund(asked(60), at_ms=LATER) for one in [ledger, other] * 3))
    assert sorted(one.already for one in results) == [False, *[True] * 5]
    assert {(one.wallet, one.points, one.refunded_points) for one in results} == {(results[0].wallet, 60, 60)}
    await ledger.refund(asked(units=1, key="units"), at_ms=LATER)
    again = await ledger.refund(asked(units=1, key="units"), at_ms=LATER + 5)
    assert (again.already, again.points, again.refunded_points, again.wallet.balance) == (True, 50, 110, 110)
    assert await balance(ledger) == 110


@pytest.mark.parametrize(
    "other_body", [asked(61), asked(units=1), asked(60, reason="other"), RefundAsked("second", 60, None, "noise", "k")]
)
async def test_the_same_key_with_another_body_is_refused(ledger: Ledger, other_body: RefundAsked) -> None:
    await lived(ledger)
    await credit(ledger, 100, key="more")
    await talking(ledger, "second")
    charged(await ledger.charge_unit(unit(1, "second")))
    await ledger.refund(asked(60), at_ms=LATER)
    with pytest.raises(KeyReused):
        await ledger.refund(other_body, at_ms=LATER)
    with pytest.raises(KeyReused):
        await ledger.adjust("user", 60, reason="noise", idempotency_key="k", at_ms=LATER)
    assert await refunded(ledger) == 60


async def test_an_adjustments_key_is_no_refunds(ledger: Ledger) -> None:
    await lived(ledger)
    await ledger.adjust("user", 60, reason="noise", idempotency_key="k", at_ms=LATER)
    with pytest.raises(KeyReused):
        await ledger.refund(asked(60), at_ms=LATER)


async def test_what_can_not_be_given_back_changes_nothing(ledger: Ledger) -> None:
    with pytest.raises(UnknownCall):
        await ledger.refund(asked(1), at_ms=LATER)
    await lived(ledger)
    with pytest.raises(RefundTooHigh):
        await ledger.refund(asked(251), at_ms=LATER)
    with pytest.raises(RefundTooHigh):
        await ledger.refund(asked(units=4), at_ms=LATER)
    await credit(ledger, MAX_POINTS, key="rich")
    with pytest.raises(BalanceTooHigh):
        await ledger.refund(asked(1), at_ms=LATER)
    assert (await refunded(ledger), (await ledger.billing("call")).refunds) == (0, ())
    assert await ledger.audit() == ()


async def test_a_free_call_has_nothing_to_give_back(ledger: Ledger) -> None:
    await talking(ledger, price=0)
    charged(await ledger.charge_unit(unit(1)))
    for free in (asked(1), asked(units=1)):
        with pytest.raises(RefundTooHigh):
            await ledger.refund(free, at_ms=LATER)


async def test_a_live_call_goes_on_after_a_refund_and_pays_with_it(ledger: Ledger, elsewhere: Ledger) -> None:
    """Given at another node than the call's."""
    await lived(ledger)
    await elsewhere.refund(asked(100), at_ms=LATER)
    assert charged(await ledger.charge_unit(unit(4))).unit.points == 100
    ended = await end(ledger, seconds=240)
    assert (ended.state, ended.billed_points, ended.refunded_points) == (CallState.ENDED, 350, 100)
    assert await ledger.audit() == ()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE calls SET refunded_points = 59", "call call: says 59 points were given back, 60 were"),
        ("UPDATE refunds SET points = 59", "call call: says 60 points were given back, 59 were"),
        ("UPDATE refunds SET points = 59", "call call: 59 points given back, user got 60"),
    ],
)
async def test_an_audit_finds_refunds_that_do_not_add_up(ledger: Ledger, damage: str, found: str) -> None:
    await lived(ledger)
    await ledger.refund(asked(60), at_ms=LATER)
    await ledger._database.write(lambda tx: tx.execute(text(damage)))
    assert found in await ledger.audit()
