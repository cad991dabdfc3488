"""Wallets with their lots, while both are locked: in what order points are spent, and which have expired.

Bonus points are spent before paid ones, what expires first before what expires later. Paid points that do not expire
are in no lot: they are the rest of the balance. (So a release that knows no lots takes of them.) A wallet's lots are
changed only while its row is locked.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, insert, select

from app.ledger import wallets
from app.ledger.bulk import BulkInsert, BulkUpdate, Row
from app.ledger.errors import BalanceTooLow
from app.ledger.tables import lots, point_transactions
from app.ledger.values import Holdings, Lot, Wallet
from schemas.types import PointKind

EXPIRY, REGROUPED = "expiry", "regrouped"  # kinds of lines
LOT = (lots.c.id, lots.c.kind, lots.c.remaining, lots.c.expires_at_ms, lots.c.points, lots.c.created_at_ms)
PUT_LOTS = BulkUpdate(lots, ("id", "remaining"))
ADD_LINES = BulkInsert(point_transactions)
NEVER = 2**63


class Purse:
    """A locked wallet, its lots in the order in which they are spent, and the lines that its statement gets."""

    def __init__(self, wallet: Wallet, held: Iterable[Lot]) -> None:
        self.wallet = wallet
        self.lines: list[Row] = []
        self.expired = 0
        self._lots = sorted(held, key=in_order)
        self._changed: set[int] = set()

    @property
    def changed_lots(self) -> list[Row]:
        return [{"id": lot.id, "remaining": lot.remaining} for lot in self._lots if lot.id in self._changed]

    @property
    def held(self) -> tuple[Lot, ...]:
        """What it holds, in the order in which it is spent."""
        lots_ = tuple(lot for lot in self._lots if lot.remaining)
        rest = self.wallet.balance - sum(lot.remaining for lot in lots_)
        return (*lots_, Lot(None, "paid", rest)) if rest else lots_

    def settle(self, at_ms: int) -> None:
        """Take out what has expired by that moment, and forget of the lots what a release that knows none has spent."""
        spent = sum(lot.remaining for lot in self._lots) - self.wallet.balance
        if spent > 0:
            bonus = self._take_from(self._lots, spent)
            self._line(0, at_ms, REGROUPED, f"regrouped {secrets.token_hex(8)}", -bonus)
        for lot in self._lots:
            if lot.remaining and lot.expires_at_ms is not None and lot.expires_at_ms <= at_ms:
                points, self.expired = lot.remaining, self.expired + lot.remaining
                self._set(lot, 0)
                self._change(-points, at_ms)
                self._line(-points, at_ms, EXPIRY, f"expiry {lot.id}", -points if lot.kind == "bonus" else 0)

    def spend(self, points: int, at_ms: int, line: Row) -> int:
        """Take points in the order in which they are spent. Returns how many of them were bonus points."""
        bonus = self._take_from(self._lots, points)
        self._change(-points, at_ms)
        self._append(line | {"amount": -points, "bonus_amount": -bonus})
        return bonus

    def take(self, points: int, kind: PointKind, at_ms: int, line: Row) -> None:
        """Take points of one kind. Raises BalanceTooLow where there are not so many."""
        bonus = sum(lot.remaining for lot in self._lots if lot.kind == "bonus")
        held = bonus if kind == "bonus" else self.wallet.balance - bonus
        if points > held:
            raise BalanceTooLow(self.wallet.user_id, held)
        taken = self._take_from([lot for lot in self._lots if lot.kind == kind], points)
        self._change(-points, at_ms)
        self._append(line | {"amount": -points, "bonus_amount": -taken})

    def put(self, points: int, bonus: int, at_ms: int, line: Row) -> Row:
        """Add points, so many of them as bonus. Returns the line, which is the last one."""
        self._change(points, at_ms)
        return self._append(line | {"amount": points, "bonus_amount": bonus})

    def _take_from(self, some: Sequence[Lot], points: int) -> int:
        """Take of the lots as far as they go; what remains is taken of the points that are in none."""
        bonus = 0
        for lot in list(some):
            taken = min(points, lot.remaining)
            if taken:
                self._set(lot, lot.remaining - taken)
                points -= taken
                bonus += taken if lot.kind == "bonus" else 0
        return bonus

    def _set(self, lot: Lot, remaining: int) -> None:
        place = next(place for place, one in enumerate(self._lots) if one.id == lot.id)
        self._lots[place] = Lot(lot.id, lot.kind, remaining, lot.expires_at_ms, lot.points, lot.created_at_ms)
        self._changed.add(lot.id or 0)

    def _change(self, amount: int, at_ms: int) -> None:
        self.wallet = wallets.changed_by(self.wallet, amount, at_ms)

    def _line(self, amount: int, at_ms: int, kind: str, key: str, bonus: int) -> None:
        self._append(
            {
                "amount": amount,
                "reason": kind,
                "idempotency_key": key,
                "at_ms": at_ms,
                "kind": kind,
                "bonus_amount": bonus,
                "call_id": None,
                "unit_index": None,
            }
        )

    def _append(self, line: Row) -> Row:
        row = {"call_id": None, "unit_index": None, "idempotency_key": None, "kind": None}
        row |= line | {"user_id": self.wallet.user_id, "balance_after": self.wallet.balance}
        self.lines.append(row)
        return row


def in_order(lot: Lot) -> tuple[bool, int, int]:
    return lot.kind == "paid", NEVER if lot.expires_at_ms is None else lot.expires_at_ms, lot.id or 0


def lock(tx: Connection, user_ids: Collection[str]) -> dict[str, Purse]:
    """The wallets that exist, with their lots, locked until the commit."""
    locked = wallets.lock(tx, user_ids)
    held = lots_of(tx, locked)
    return {user_id: Purse(wallet, held.get(user_id, ())) for user_id, wallet in locked.items()}


def lots_of(tx: Connection, user_ids: Collection[str]) -> dict[str, list[Lot]]:
    """The lots of some users that still hold points."""
    found: defaultdict[str, list[Lot]] = defaultdict(list)
    if user_ids:
        query = select(lots.c.user_id, *LOT).where(lots.c.user_id.in_(list(user_ids)), lots.c.remaining > 0)
        for user_id, *lot in tx.execute(query):
            found[user_id].append(Lot(*lot))
    return found


def holdings(tx: Connection, user_id: str, at_ms: int) -> Holdings | None:
    """What a user holds at that moment; None without a wallet."""
    wallet = wallets.wallet(tx, user_id)
    if wallet is None:
        return None
    purse = Purse(wallet, lots_of(tx, [user_id])[user_id])
    purse.settle(at_ms)  # as the next transaction will
    return Holdings(user_id, purse.held, wallet.updated_at_ms)


def store_line(tx: Connection, purse: Purse) -> int:
    """Store a purse whose last line has an idempotency key. Returns that line's id. Raises KeyReused."""
    wallets.put(tx, [purse.wallet])
    ADD_LINES(tx, purse.lines[:-1])
    PUT_LOTS(tx, purse.changed_lots)
    return wallets.append_line(tx, purse.lines[-1])


def store(tx: Connection, purses: Iterable[Purse]) -> None:
    """Store what was changed of locked purses, with the lines of their statements."""
    changed = [purse for purse in purses if purse.lines]
    wallets.put(tx, [purse.wallet for purse in changed])
    ADD_LINES(tx, [line for purse in changed for line in purse.lines])
    PUT_LOTS(tx, [row for purse in changed for row in purse.changed_lots])


def add_lot(tx: Connection, line_id: int, line: Row, kind: PointKind, points: int, expires_at_ms: int | None) -> None:
    """Make a lot of points that came with a stored line. Paid points that do not expire are in none."""
    if not points or (kind == "paid" and expires_at_ms is None):
        return
    row = {"kind": kind, "points": points, "remaining": points, "expires_at_ms": expires_at_ms}
    of_line = {"user_id": line["user_id"], "created_at_ms": line["at_ms"], "transaction_id": line_id}
    tx.execute(insert(lots), row | of_line)
