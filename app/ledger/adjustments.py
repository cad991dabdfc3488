"""Points that come and go without a call: adjustments, and what expires; and what all users together hold."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from app.ledger import audit_log, billing_events, events, purses, wallets
from app.ledger.audit_log import Entry
from app.ledger.errors import AlreadyExpired, KeyReused
from app.ledger.notices import BalanceChanged
from app.ledger.tables import lots
from app.ledger.tables import wallets as wallet_table
from app.ledger.values import Adjusted, AdjustmentAsked, Event, Outstanding, Wallet

AT_ONCE = 200  # wallets in one transaction


def adjust(tx: Connection, asked: AdjustmentAsked, at_ms: int, noted: Entry | None) -> Adjusted:
    """See ``Ledger.adjust``."""
    wallets.make(tx, asked.user_id, at_ms)
    purse = purses.lock(tx, [asked.user_id])[asked.user_id]
    earlier = _earlier(tx, asked)
    if earlier is not None:
        return earlier
    if asked.expires_at_ms is not None and asked.expires_at_ms <= at_ms:
        raise AlreadyExpired
    before = purse.wallet.balance
    purse.settle(at_ms)
    line = {"reason": asked.reason, "idempotency_key": asked.key, "at_ms": at_ms, "kind": asked.kind}
    if asked.amount < 0:
        purse.take(-asked.amount, asked.kind, at_ms, line)
    else:
        purse.put(asked.amount, asked.amount if asked.kind == "bonus" else 0, at_ms, line)
    line_id = purses.store_line(tx, purse)
    purses.add_lot(tx, line_id, purse.lines[-1], asked.kind, max(0, asked.amount), asked.expires_at_ms)
    if noted is not None:
        audit_log.note(tx, noted)
    told = [billing_events.wallet_changed(asked.user_id, purse.wallet.balance, "adjustment", at_ms)]
    change = BalanceChanged(asked.user_id, before, purse.wallet.balance, at_ms, adjustment=(asked.reason, asked.key))
    return Adjusted(purse.wallet, events.append(tx, events.drafts(told, at_ms), [change]))


def _earlier(tx: Connection, asked: AdjustmentAsked) -> Adjusted | None:
    row = wallets.line_of_key(tx, asked.key)
    if row is None:
        return None
    expires_at_ms = tx.scalar(select(lots.c.expires_at_ms).where(lots.c.transaction_id == row["id"]))
    stored = (row["user_id"], row["amount"], row["reason"], row["kind"] or "paid", expires_at_ms)
    if stored != (asked.user_id, asked.amount, asked.reason, asked.kind, asked.expires_at_ms):
        raise KeyReused(asked.key)
    return Adjusted(Wallet(asked.user_id, row["balance_after"], row["at_ms"]), (), already=True)


def expire(tx: Connection, now_ms: int) -> tuple[Event, ...]:
    """Take out points that have expired, of some wallets. Returns the events; none where nothing has."""
    due = select(lots.c.user_id).where(lots.c.remaining > 0, lots.c.expires_at_ms <= now_ms).distinct().limit(AT_ONCE)
    locked = purses.lock(tx, [row.user_id for row in tx.execute(due)])
    before = {user_id: purse.wallet.balance for user_id, purse in locked.items()}
    for purse in locked.values():
        purse.settle(now_ms)
    purses.store(tx, locked.values())
    told = [
        billing_events.wallet_changed(purse.wallet.user_id, purse.wallet.balance, "expiry", now_ms)
        for purse in locked.values()
        if purse.expired
    ]
    changes = [
        BalanceChanged(user_id, before[user_id], purse.wallet.balance, now_ms)
        for user_id, purse in locked.items()
        if purse.expired
    ]
    return events.append(tx, events.drafts(told, now_ms), changes)


def outstanding(tx: Connection, at_ms: int) -> tuple[Outstanding, ...]:
    """What all users together hold, by kind and month of expiry. What has expired by then is left out."""
    month, points = _month(tx, lots.c.expires_at_ms).label("month"), func.sum(lots.c.remaining).label("points")
    holding = (lots.c.remaining > 0, lots.c.expires_at_ms.is_(None) | (lots.c.expires_at_ms > at_ms))
    rows = tx.execute(select(lots.c.kind, month, points).where(*holding).group_by(lots.c.kind, month)).all()
    total = tx.scalar(select(func.coalesce(func.sum(wallet_table.c.balance), 0)))
    in_lots = tx.scalar(select(func.coalesce(func.sum(lots.c.remaining), 0)))
    found = [Outstanding(row.kind, row.month, int(row.points)) for row in rows]
    found.append(Outstanding("paid", None, max(0, int(total or 0) - int(in_lots or 0))))
    return tuple(sorted(found, key=lambda one: (one.kind, one.month is not None, one.month or "")))


def _month(tx: Connection, ms: ColumnElement[int]) -> ColumnElement[str]:
    """``2026-12`` of UTC milliseconds."""
    if tx.dialect.name == "sqlite":
        return func.strftime("%Y-%m", ms / 1000, "unixepoch")
    utc = func.timezone("UTC", func.to_timestamp(ms / literal_column("1000.0")))
    return func.to_char(utc, "YYYY-MM")
