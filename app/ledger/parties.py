"""The busy rule: a person is in at most one live exclusive call.

A table has one row for each person in such a call, inserted by the transaction that opens the call and deleted by the
one that ends it. So the rule holds for both roles, over all nodes, and however many ask at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from app.ledger.bulk import BulkDelete, BulkInsert, Row
from app.ledger.errors import PartyBusy
from app.ledger.tables import live_parties
from app.ledger.values import Call

ADD = BulkInsert(live_parties, unless_there=True)
REMOVE = BulkDelete(live_parties, "call_id")


def occupy(tx: Connection, opened: Sequence[Call]) -> None:
    """Store that the parties of exclusive calls are busy. Raises PartyBusy."""
    rows = rows_of(call for call in opened if call.exclusive)
    while ADD(tx, rows) < len(rows):  # somebody is in another call, or was a moment ago
        rows = [row for row in rows if not _is_there(tx, row)]


def release(tx: Connection, ended: Iterable[Call]) -> None:
    """Store that the parties of calls which have ended are free."""
    REMOVE(tx, [call.id for call in ended if call.exclusive])


def rows_of(calls: Iterable[Call]) -> list[Row]:
    """Rows in a fixed order, so that two transactions can't deadlock."""
    busy = [(*person, call.id) for call in calls for person in (("otomo", call.otomo_id), ("user", call.user_id))]
    return [{"role": role, "user_id": person_id, "call_id": call_id} for role, person_id, call_id in sorted(busy)]


def _is_there(tx: Connection, row: Row) -> bool:
    """Whether the row is stored. Raises PartyBusy where it is another call's."""
    found = select(live_parties.c.call_id).where(
        live_parties.c.role == row["role"], live_parties.c.user_id == row["user_id"]
    )
    busy_in = tx.scalar(found)
    if busy_in is not None and busy_in != row["call_id"]:
        raise PartyBusy(row["role"], row["user_id"], busy_in)
    return busy_in is not None
