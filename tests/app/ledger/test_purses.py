"""Lots of points: in what order they are spent, when they expire, and that they always add up to the balance."""

from __future__ import annotations

import asyncio
import random

import pytest
from msgspec import json
from sqlalchemy import text

from app.ledger import Ledger
from app.ledger.errors import AlreadyExpired, BalanceTooLow, KeyReused
from app.ledger.steps import FIRST_EPOCH
from app.ledger.values import Lot, Outstanding, PointsGone, RefundAsked, UnitDue
from schemas.types import PointKind, at_ms
from tests.app.ledger.ledger_samples import CONNECTED, START, USER, balance, charged, talking, unit

DAY = 86_400_000
SOON, LATER = START + 30 * DAY, START + 60 * DAY


async def give(
    ledger: Ledger, amount: int, kind: PointKind = "paid", expires: int | None = None, key: str = "", user: str = "user"
) -> None:
    key = key or f"{user} {amount} {kind} {expires}"
    await ledger.adjust(user, amount, reason="gift", idempotency_key=key, at_ms=START, kind=kind, expires_at_ms=expires)


async def held(ledger: Ledger, at: int = START, user: str = "user") -> list[tuple[str, int, int | None]]:
    holdings = await ledger.holdings(user, at_ms=at)
    assert holdings is not None
    return [(lot.kind, lot.remaining, lot.expires_at_ms) for lot in holdings.lots]


async def mixed(ledger: Ledger) -> None:
    """Five lots, given in no order."""
    await give(ledger, 500)
    await give(ledger, 120, "paid", SOON)
    await give(ledger, 80, "bonus")
    await give(ledger, 70, "bonus", LATER)
    await give(ledger, 60, "bonus", SOON)


async def test_bonus_goes_before_paid_and_what_expires_first_before_what_expires_later(ledger: Ledger) -> None:
    await mixed(ledger)
    assert await held(ledger) == [
        ("bonus", 60, SOON),
        ("bonus", 70, LATER),
        ("bonus", 80, None),
        ("paid", 120, SOON),
        ("paid", 500, None),
    ]
    await talking(ledger)
    spent = [charged(await ledger.charge_unit(unit(index))).unit for index in (1, 2, 3, 4)]
    assert [(one.points, one.bonus_points) for one in spent] == [(100, 100), (100, 100), (100, 10), (100, 0)]
    assert await held(ledger) == [("paid", 430, None)]
    assert await balance(ledger) == 430
    assert await ledger.audit() == ()


async def test_a_wallet_of_before_is_one_lot_of_paid_points(ledger: Ledger) -> None:
    await give(ledger, 500)
    holdings = await ledger.holdings("user", at_ms=START)
    assert holdings is not None
    assert (holdings.lots, holdings.balance, holdings.bonus) == ((Lot(None, "paid", 500),), 500, 0)
    assert await ledger.holdings("nobody", at_ms=START) is None


async def test_expired_points_are_not_spent_and_leave_by_a_line_of_their_own(ledger: Ledger) -> None:
    await give(ledger, 60, "bonus", CONNECTED + 61_000)
    await give(ledger, 500)
    await talking(ledger)
    first = charged(await ledger.charge_unit(unit(1)))
    assert (first.unit.points, first.unit.bonus_points) == (100, 60)
    await give(ledger, 50, "bonus", CONNECTED + 119_999, key="second")
    second = charged(await ledger.charge_unit(unit(2)))
    assert (second.unit.points, second.unit.bonus_points, second.unit.balance_after) == (100, 0, 360)
    told = [json.decode(event.payload) for event in await ledger.tail(0) if event.type == "wallet_update"]
    assert [(one["balance"], one["reason"]) for one in told][-2:] == [(360 + 100, "expiry"), (360, "call_tick")]
    assert await ledger.audit() == ()


async def test_what_is_left_after_expiry_may_be_too_little(ledger: Ledger) -> None:
    await give(ledger, 60, "bonus", CONNECTED + 1)
    await talking(ledger)
    assert await ledger.charge_unit(unit(1)) == PointsGone("call", "user")
    assert (await balance(ledger), await held(ledger, CONNECTED + 2)) == (0, [])
    assert await ledger.audit() == ()


async def test_the_sweep_of_expired_points_tells_each_user_once(ledger: Ledger, other: Ledger) -> None:
    await mixed(ledger)
    await give(ledger, 9, "bonus", SOON, user="second")
    assert await ledger.expire_points(now_ms=SOON - 1) == ()
    assert [one for one in await held(ledger, SOON) if one[2] == SOON] == [], "they are not shown before the sweep"
    both = await asyncio.gather(ledger.expire_points(now_ms=SOON), other.expire_points(now_ms=SOON))
    events = [event for told in both for event in told]
    assert sorted((event.to.id, json.decode(event.payload)["balance"]) for event in events if event.to) == [
        ("second", 0),
        ("user", 650),
    ]
    assert {json.decode(event.payload)["reason"] for event in events} == {"expiry"}
    assert (await balance(ledger), await ledger.expire_points(now_ms=SOON)) == (650, ())
    assert await ledger.audit() == ()


async def test_points_are_taken_away_of_the_kind_that_is_named(ledger: Ledger) -> None:
    await mixed(ledger)
    await give(ledger, -100, "bonus")
    assert await held(ledger) == [("bonus", 30, LATER), ("bonus", 80, None), ("paid", 120, SOON), ("paid", 500, None)]
    await give(ledger, -200)
    assert await held(ledger) == [("bonus", 30, LATER), ("bonus", 80, None), ("paid", 420, None)]
    for kind, points in (("bonus", 111), ("paid", 421)):
        with pytest.raises(BalanceTooLow):
            await give(ledger, -points, kind)
    assert await balance(ledger) == 530
    assert await ledger.audit() == ()


@pytest.mark.parametrize("changed", [{"kind": "paid"}, {"expires": LATER}, {"expires": None}, {"amount": 6}])
async def test_a_key_that_comes_with_another_lot_is_refused(ledger: Ledger, changed: dict) -> None:
    lot = {"amount": 5, "kind": "bonus", "expires": SOON, "key": "k"}
    await give(ledger, **lot)
    await give(ledger, **lot)
    with pytest.raises(KeyReused):
        await give(ledger, **lot | changed)
    assert await held(ledger) == [("bonus", 5, SOON)]


async def test_points_that_have_expired_do_not_come(ledger: Ledger) -> None:
    with pytest.raises(AlreadyExpired):
        await give(ledger, 5, "bonus", START)
    await give(ledger, 5, "bonus", SOON, key="k")
    again = await ledger.adjust(
        "user", 5, reason="gift", idempotency_key="k", at_ms=LATER, kind="bonus", expires_at_ms=SOON
    )
    assert again.already, "a retry is answered as the first time, however late"


async def test_a_refund_gives_back_paid_points_before_bonus_ones(ledger: Ledger) -> None:
    await give(ledger, 70, "bonus", LATER)
    await give(ledger, 500)
    await talking(ledger)
    for index in (1, 2):
        charged(await ledger.charge_unit(unit(index)))
    await ledger.refund(RefundAsked("call", 100, None, "noise", "a"), at_ms=START)
    assert await held(ledger) == [("paid", 470, None)]
    await ledger.refund(RefundAsked("call", 100, None, "noise", "b"), at_ms=START)
    assert await held(ledger) == [("bonus", 70, None), ("paid", 500, None)]
    assert await ledger.audit() == ()


async def test_a_release_that_knows_no_lots_spends_and_the_lots_follow(ledger: Ledger) -> None:
    await mixed(ledger)
    line = "(user_id, amount, reason, idempotency_key, balance_after, at_ms)"
    debit = f"INSERT INTO point_transactions {line} VALUES ('user', -730, 'unit', 'theirs', 100, 1)"
    for statement in ("UPDATE wallets SET balance = 100", debit):
        await ledger._database.write(lambda tx, statement=statement: tx.execute(text(statement)))
    assert sum(points for _, points, _ in await held(ledger)) == 100
    await give(ledger, 1)
    assert sum(points for _, points, _ in await held(ledger)) == 101 == await balance(ledger)
    assert await ledger.audit() == ()


async def test_what_all_hold_by_kind_and_month(ledger: Ledger) -> None:
    await mixed(ledger)
    december = at_ms("2027-12-31T23:59:59.999Z")
    await give(ledger, 11, "bonus", december, user="second")
    await give(ledger, 22, "bonus", december + 1, user="second")
    await give(ledger, 33, user="third")
    assert await ledger.outstanding(at_ms=START) == (
        Outstanding("bonus", None, 80),
        Outstanding("bonus", "2027-02", 60),
        Outstanding("bonus", "2027-03", 70),
        Outstanding("bonus", "2027-12", 11),
        Outstanding("bonus", "2028-01", 22),
        Outstanding("paid", None, 533),
        Outstanding("paid", "2027-02", 120),
    )
    after = await ledger.outstanding(at_ms=SOON)
    assert ("bonus", "2027-02") not in {(one.kind, one.month) for one in after}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE wallets SET balance = 100", "wallet user: 330 points in lots, balance 100"),
        ("UPDATE lots SET remaining = 59 WHERE points = 60", "wallet user: 209 bonus points in lots, booked 210"),
        ("UPDATE call_units SET bonus_points = 99", "unit 1 of call: 99 bonus points, booked -100"),
    ],
)
async def test_an_audit_finds_lots_that_do_not_add_up(ledger: Ledger, damage: str, found: str) -> None:
    await mixed(ledger)
    if "units" in damage:
        await talking(ledger)
        charged(await ledger.charge_unit(unit(1)))
    await ledger._database.write(lambda tx: tx.execute(text(damage)))
    assert found in await ledger.audit()


@pytest.mark.parametrize("wrong", ["remaining = -1", "remaining = points + 1", "kind = 'paid', expires_at_ms = NULL"])
async def test_the_database_itself_refuses_lots_that_can_not_be(ledger: Ledger, wrong: str) -> None:
    await give(ledger, 5, "bonus")
    with pytest.raises(Exception, match=r"(?i)constraint"):
        await ledger._database.write(lambda tx: tx.execute(text(f"UPDATE lots SET {wrong}")))


async def test_whatever_comes_at_once_the_lots_add_up(ledger: Ledger, other: Ledger) -> None:
    """Calls that are charged, gifts of all kinds, refunds and expiry, on two connections."""
    chance = random.Random(11)
    for one in range(4):
        await talking(ledger, f"call{one}", price=7)
    await give(ledger, 400)

    async def gift(number: int) -> None:
        kind: PointKind = chance.choice(("paid", "bonus"))
        expires = chance.choice((None, CONNECTED + 60_000 * chance.randrange(1, 12), LATER))
        await give(chance.choice((ledger, other)), chance.randrange(1, 60), kind, expires, key=f"gift {number}")

    async def charges(call: int) -> None:
        for index in range(1, 11):
            due = UnitDue(f"call{call}", FIRST_EPOCH, index, CONNECTED + index * 60_000, index * 60_000)
            await chance.choice((ledger, other)).charge_unit(due)

    async def refund(number: int) -> None:
        await ledger.refund(RefundAsked(f"call{number % 4}", 3, None, "r", f"refund {number}"), at_ms=CONNECTED)

    async def sweep(minute: int) -> None:
        await other.expire_points(now_ms=CONNECTED + 60_000 * minute)

    work = [*map(gift, range(20)), *map(charges, range(4)), *map(refund, range(4)), *map(sweep, range(12))]
    chance.shuffle(work)
    failed = [one for one in await asyncio.gather(*work, return_exceptions=True) if isinstance(one, BaseException)]
    assert {type(one).__name__ for one in failed} <= {"RefundTooHigh", "AlreadyExpired"}, failed
    assert await ledger.audit() == ()
    holdings = await ledger.holdings("user", at_ms=START)
    assert holdings is not None
    assert holdings.balance == await balance(ledger)
    assert USER.id == "user"
