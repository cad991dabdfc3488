"""What points did day by day, in UTC: what calls cost, what was given back, given and taken away, what expired; and
what all users together held at each day's end.

A balance is the sum of its lines, so what was held at a day's end is what is held now less what the lines after it have
changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, case, func, literal, select

from app.ledger.purses import EXPIRY
from app.ledger.tables import point_transactions as lines
from app.ledger.tables import wallets
from app.ledger.wallets import REFUND

DAY_MS = 86_400_000
CHARGED, REFUNDED, EXPIRED, ADDED, REMOVED = "charged", "refunded", "expired", "added", "removed"


@dataclass(frozen=True, slots=True)
class DayOfPoints:
    """``day`` counts from 1970-01-01. All points are positive; ``outstanding`` is what was held at the day's end."""

    day: int
    charged: int
    refunded: int
    added: int
    removed: int
    expired: int
    outstanding: int


def days(tx: Connection, first: int, count: int) -> tuple[DayOfPoints, ...]:
    """So many days from ``first`` on, oldest first."""
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in tx.execute(changes(first)):
        found[row.day][row.what] = int(row.points)
    held = int(tx.scalar(select(func.coalesce(func.sum(wallets.c.balance), 0))) or 0)
    held -= sum(sum(found[day].values()) for day in list(found) if day >= first + count)
    counted = []
    for day in range(first + count - 1, first - 1, -1):
        counted.append(day_of(day, found[day], held))
        held -= sum(found[day].values())
    return tuple(reversed(counted))


def changes(first: int) -> Select[Any]:
    """By day and kind of line, what the lines since a day's beginning have changed; in one range of an index that has
    all of it."""
    what = case(
        (lines.c.unit_index.is_not(None), literal(CHARGED)),
        (lines.c.kind == REFUND, literal(REFUNDED)),
        (lines.c.kind == EXPIRY, literal(EXPIRED)),
        (lines.c.amount > 0, literal(ADDED)),
        else_=literal(REMOVED),
    )
    since = select((lines.c.at_ms // DAY_MS).label("day"), what.label("what"), lines.c.amount)
    some = since.where(lines.c.at_ms >= first * DAY_MS).subquery()
    return select(some.c.day, some.c.what, func.sum(some.c.amount).label("points")).group_by(some.c.day, some.c.what)


def day_of(day: int, changed: Mapping[str, int], held: int) -> DayOfPoints:
    return DayOfPoints(
        day,
        charged=-changed.get(CHARGED, 0),
        refunded=changed.get(REFUNDED, 0),
        added=changed.get(ADDED, 0),
        removed=-changed.get(REMOVED, 0),
        expired=-changed.get(EXPIRED, 0),
        outstanding=max(0, held),
    )
