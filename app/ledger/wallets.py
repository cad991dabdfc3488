"""Wallets and their statements. Every change of a balance is written together with its row in
``point_transactions``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from sqlalchemy import Connection, RowMapping, select

from app.ledger.bulk import BulkLock, BulkUpdate, Row
from app.ledger.errors import BalanceTooHigh, BalanceTooLow, KeyReused
from app.ledger.paging import page
from app.ledger.tables import CHARGED, calls, insert_unless_there, point_transactions, wallets
from app.ledger.values import MAX_POINTS, Page, Usage, Wallet

ADJUSTMENT, REFUND = "paid", "refund"  # kinds of lines without a unit
COLUMNS = tuple(one.name for one in fields(Wallet))
LOCK = BulkLock(wallets, COLUMNS)
PUT = BulkUpdate(wallets, COLUMNS)


def line_of_key(tx: Connection, key: str) -> RowMapping | None:
    """The line of a statement that was made with an idempotency key."""
    query = select(point_transactions).where(point_transactions.c.idempotency_key == key)
    return tx.execute(query).mappings().one_or_none()


def append_line(tx: Connection, row: Row) -> int:
    """Append to a statement a line that has an idempotency key. Raises KeyReused."""
    stored = insert_unless_there(tx.dialect, point_transactions).returning(point_transactions.c.id)
    line_id = tx.scalar(stored, row)
    if line_id is None:
        raise KeyReused(row["idempotency_key"])  # for another user, and was committed after we looked
    return int(line_id)


def make(tx: Connection, user_id: str, at_ms: int) -> None:
    """Make an empty wallet where there is none."""
    tx.execute(insert_unless_there(tx.dialect, wallets), {"user_id": user_id, "balance": 0, "updated_at_ms": at_ms})


def changed_by(wallet: Wallet, amount: int, at_ms: int) -> Wallet:
    """Raises BalanceTooLow, BalanceTooHigh."""
    balance = wallet.balance + amount
    if balance < 0:
        raise BalanceTooLow(wallet.user_id, wallet.balance)
    if balance > MAX_POINTS:
        raise BalanceTooHigh(wallet.user_id, wallet.balance)
    return Wallet(wallet.user_id, balance, at_ms)


def wallet(tx: Connection, user_id: str) -> Wallet | None:
    row = tx.execute(select(wallets).where(wallets.c.user_id == user_id)).mappings().one_or_none()
    return None if row is None else Wallet(**row)


def balances(tx: Connection, user_ids: Collection[str]) -> dict[str, int]:
    found = select(wallets.c.user_id, wallets.c.balance).where(wallets.c.user_id.in_(user_ids))
    return {row.user_id: row.balance for row in tx.execute(found)}


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
        refunded_points=row["refunded_points"],
        created_at_ms=row["created_at_ms"],
        connected_at_ms=row["connected_at_ms"],
        ended_at_ms=row["ended_at_ms"],
        duration_seconds=row["duration_seconds"],
    )
