"""Wallets and their statements. Every change of a balance is written together with its row in
``point_transactions``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from sqlalchemy import Connection, RowMapping, select

from app.ledger import billing_events, events
from app.ledger.bulk import BulkLock, BulkUpdate
from app.ledger.errors import BalanceTooHigh, BalanceTooLow, KeyReused
from app.ledger.notices import BalanceChanged
from app.ledger.paging import page
from app.ledger.tables import CHARGED, calls, insert_unless_there, point_transactions, wallets
from app.ledger.values import MAX_POINTS, Adjusted, Page, Usage, Wallet

COLUMNS = tuple(one.name for one in fields(Wallet))
LOCK = BulkLock(wallets, COLUMNS)
PUT = BulkUpdate(wallets, COLUMNS)


def adjust(tx: Connection, user_id: str, amount: int, reason: str, key: str, at_ms: int) -> Adjusted:
    new = {"user_id": user_id, "balance": 0, "updated_at_ms": at_ms}
    tx.execute(insert_unless_there(tx.dialect, wallets), new)
    wallet = (lock(tx, [user_id]))[user_id]
    earlier = _earlier(tx, user_id, amount, reason, key)
    if earlier is not None:
        return earlier
    balance = wallet.balance + amount
    if balance < 0:
        raise BalanceTooLow(user_id, wallet.balance)
    if balance > MAX_POINTS:
        raise BalanceTooHigh(user_id, wallet.balance)
    changed = Wallet(user_id, balance, at_ms)
    put(tx, [changed])
    row = {
        "user_id": user_id,
        "amount": amount,
        "reason": reason,
        "idempotency_key": key,
        "balance_after": balance,
        "at_ms": at_ms,
    }
    stored = insert_unless_there(tx.dialect, point_transactions).returning(point_transactions.c.id)
    if tx.scalar(stored, row) is None:
        raise KeyReused(key)  # by another user's adjustment, which was committed after we looked
    told = [billing_events.wallet_changed(user_id, balance, "adjustment", at_ms)]
    change = BalanceChanged(user_id, wallet.balance, balance, at_ms, adjustment=(reason, key))
    return Adjusted(changed, events.append(tx, events.drafts(told, at_ms), [change]))


def _earlier(tx: Connection, user_id: str, amount: int, reason: str, key: str) -> Adjusted | None:
    query = select(point_transactions).where(point_transactions.c.idempotency_key == key)
    row = tx.execute(query).mappings().one_or_none()
    if row is None:
        return None
    if (row["user_id"], row["amount"], row["reason"]) != (user_id, amount, reason):
        raise KeyReused(key)
    return Adjusted(Wallet(user_id, row["balance_after"], row["at_ms"]), (), already=True)


def wallet(tx: Connection, user_id: str) -> Wallet | None:
    row = tx.execute(select(wallets).where(wallets.c.user_id == user_id)).mappings().one_or_none()
    return None if row is None else Wallet(**row)


def lock(tx: Connection, user_ids: Collection[str]) -> dict[str, Wallet]:
    """The wallets that exist, locked until the commit, in the order of their owners, so that two lockers can't
    deadlock."""
    return {row["user_id"]: Wallet(**row) for row in LOCK(tx, user_ids)}


def put(tx: Connection, changed: Sequence[Wallet]) -> None:
    """Store the balances of locked wallets."""
    PUT(tx, [{name: getattr(one, name) for name in COLUMNS} for one in changed])


def usage(tx: Connection, user_id: str, limit: int, cursor: str | None) -> Page[Usage]:
    query = select(calls).where(calls.c.user_id == user_id, CHARGED)
    return page(tx, query, (calls.c.created_at_ms, calls.c.id), _usage_of, limit=limit, cursor=cursor)


def _usage_of(row: RowMapping) -> Usage:
    return Usage(
        call_id=row["id"],
        otomo_id=row["otomo_id"],
        price_per_minute=row["price_per_minute"],
        billed_units=row["billed_units"],
        billed_points=row["billed_points"],
        created_at_ms=row["created_at_ms"],
        connected_at_ms=row["connected_at_ms"],
        ended_at_ms=row["ended_at_ms"],
        duration_seconds=row["duration_seconds"],
    )
