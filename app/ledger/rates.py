"""Otomos' own prices and tariffs. A call keeps those with which it was made."""

from __future__ import annotations

from sqlalchemy import Connection, select

from app.ledger.calls import tariff_of, tariff_text
from app.ledger.tables import calls, insert_or_replace, rates
from app.ledger.values import Rate


def rate(tx: Connection, otomo_id: str) -> Rate | None:
    """The release before this one sets a price and leaves the tariff: it counts where it has that price."""
    query = select(rates.c.price_per_minute, rates.c.tariff).where(rates.c.otomo_id == otomo_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    price, tariff = row.price_per_minute, tariff_of(row.tariff)
    return Rate(price, tariff if tariff is not None and tariff.price_per_minute == price else None)


def knows_otomo(tx: Connection, otomo_id: str) -> bool:
    called = select(calls.c.id).where(calls.c.otomo_id == otomo_id).limit(1)
    return rate(tx, otomo_id) is not None or tx.scalar(called) is not None


def set_rate(tx: Connection, otomo_id: str, new: Rate, at_ms: int) -> None:
    row = {
        "otomo_id": otomo_id,
        "price_per_minute": new.price_per_minute,
        "updated_at_ms": at_ms,
        "tariff": tariff_text(new.tariff),
    }
    tx.execute(insert_or_replace(tx, rates), row)
