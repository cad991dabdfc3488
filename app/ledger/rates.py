"""Otomos' own prices, in points a minute. A call keeps the price with which it was made."""

from __future__ import annotations

from sqlalchemy import Connection, select

from app.ledger.tables import calls, insert_or_replace, rates


def rate(tx: Connection, otomo_id: str) -> int | None:
    return tx.scalar(select(rates.c.price_per_minute).where(rates.c.otomo_id == otomo_id))


def knows_otomo(tx: Connection, otomo_id: str) -> bool:
    called = select(calls.c.id).where(calls.c.otomo_id == otomo_id).limit(1)
    return rate(tx, otomo_id) is not None or tx.scalar(called) is not None


def set_rate(tx: Connection, otomo_id: str, price_per_minute: int, at_ms: int) -> None:
    row = {"otomo_id": otomo_id, "price_per_minute": price_per_minute, "updated_at_ms": at_ms}
    tx.execute(insert_or_replace(tx, rates), row)
