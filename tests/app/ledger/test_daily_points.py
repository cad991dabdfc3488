"""What points did by day: the sums of all statements, whoever moved the points, and what was held at each day's end."""

from __future__ import annotations

from sqlalchemy import text

from app.ledger import Ledger
from app.ledger.daily_points import DAY_MS, DayOfPoints, changes
from app.ledger.values import RefundAsked, UnitDue
from schemas.types import PointKind
from tests.app.ledger.ledger_samples import CONNECTED, START, charged, talking

DAY = START // DAY_MS
MANY = 20_000  # lines; of a few, PostgreSQL reads the whole table, which is less


async def give(
    ledger: Ledger, amount: int, day: int, kind: PointKind = "paid", expires_at_ms: int | None = None
) -> None:
    await ledger.adjust(
        "user",
        amount,
        reason="gift",
        idempotency_key=f"{amount} {day}",
        at_ms=(DAY + day) * DAY_MS,
        kind=kind,
        expires_at_ms=expires_at_ms,
    )


async def test_each_day_has_what_points_did_on_it(ledger: Ledger) -> None:
    await give(ledger, 500, -2)
    await give(ledger, 70, 1, "bonus", (DAY + 3) * DAY_MS)
    await talking(ledger)
    charged(await ledger.charge_unit(UnitDue("call", 1, 1, CONNECTED + 60_000, 60_000)))
    charged(await ledger.charge_unit(UnitDue("call", 1, 2, (DAY + 2) * DAY_MS - 1, 120_000)))
    charged(await ledger.charge_unit(UnitDue("call", 1, 3, (DAY + 2) * DAY_MS, 180_000)))
    await ledger.refund(RefundAsked("call", 30, None, "bad line", "refund"), at_ms=(DAY + 2) * DAY_MS)
    await give(ledger, -50, 2)
    await give(ledger, 9, 3)  # by then the rest of the bonus points has expired
    assert await ledger.points_by_day(DAY - 3, 7) == (
        DayOfPoints(DAY - 3, 0, 0, 0, 0, 0, 0),
        DayOfPoints(DAY - 2, 0, 0, 500, 0, 0, 500),
        DayOfPoints(DAY - 1, 0, 0, 0, 0, 0, 500),
        DayOfPoints(DAY, 100, 0, 0, 0, 0, 400),
        DayOfPoints(DAY + 1, 100, 0, 70, 0, 0, 370),
        DayOfPoints(DAY + 2, 100, 30, 0, 50, 0, 250),
        DayOfPoints(DAY + 3, 0, 0, 9, 0, 0, 259),
    )
    assert await ledger.audit() == ()


async def test_what_expires_counts_on_the_day_on_which_it_leaves(ledger: Ledger) -> None:
    await give(ledger, 500, 0)
    await give(ledger, 70, 0, "bonus", (DAY + 1) * DAY_MS)
    await ledger.expire_points(now_ms=(DAY + 1) * DAY_MS + 5_000)
    assert await ledger.points_by_day(DAY, 2) == (
        DayOfPoints(DAY, 0, 0, 570, 0, 0, 570),
        DayOfPoints(DAY + 1, 0, 0, 0, 0, 70, 500),
    )


async def test_some_days_are_told_as_they_were_whatever_came_later(ledger: Ledger) -> None:
    for day in range(5):
        await give(ledger, 10 + day, day)
    assert await ledger.points_by_day(DAY + 1, 2) == (
        DayOfPoints(DAY + 1, 0, 0, 11, 0, 0, 21),
        DayOfPoints(DAY + 2, 0, 0, 12, 0, 0, 33),
    )
    assert await ledger.points_by_day(DAY + 5, 0) == ()


async def test_only_the_asked_days_are_read_and_only_in_an_index(ledger: Ledger, url: str) -> None:
    await give(ledger, 1, 0)
    numbers = f"WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {MANY})"
    insert = "INSERT INTO point_transactions (user_id, amount, reason, idempotency_key, balance_after, at_ms)"
    rows = f"SELECT 'user', 1, 'gift', 'no ' || i, 1 + i, {START} + i * CAST(3600000 AS BIGINT) FROM numbers"
    fill = f"{numbers} {insert} {rows}" if "sqlite" in url else f"{insert} {numbers} {rows}"
    for statement in (fill, f"UPDATE wallets SET balance = {MANY} + 1", "ANALYZE"):
        await ledger._database.write(lambda tx, statement=statement: tx.execute(text(statement)))

    def plan(tx) -> str:
        query = str(changes(DAY + MANY // 24 - 30).compile(tx, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if "sqlite" in url else "EXPLAIN "
        return "\n".join(str(row[-1]) for row in tx.execute(text(explain + query)))

    found = await ledger._database.read(plan)
    assert "ix_point_transactions_at" in found
    assert "Seq Scan" not in found
    if "sqlite" in url:
        assert "SEARCH point_transactions USING COVERING INDEX" in found
    [last] = await ledger.points_by_day(DAY + MANY // 24 - 1, 1)
    assert (last.added, last.charged) == (24, 0)
