"""What admins did: who, whom or what, when and why. A row is written in the transaction of what it tells of, by
:func:`note`, or before that is done, by :meth:`AuditLog.note`; so nothing is done that is not in it.

Rows are never changed. They are deleted when they are older than they are to be kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select

from app.ledger.database import Database
from app.ledger.paging import page
from app.ledger.pruning import is_ours
from app.ledger.tables import audit_log
from app.ledger.values import Page
from app.person import Person
from schemas.audit import AuditAction

AT_ONCE = 2000  # rows that one transaction deletes

row = audit_log.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What an admin does, about a call, a person, or something else whose id is ``subject``."""

    admin_id: str
    action: AuditAction
    at_ms: int
    call_id: str | None = None
    person: Person | None = None
    subject: str | None = None
    reason: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSearch:
    """What must hold of the rows that are asked for: all that is given. ``to_ms`` is the first moment after them."""

    admin_id: str | None = None
    call_id: str | None = None
    action: AuditAction | None = None
    from_ms: int | None = None
    to_ms: int | None = None


class AuditLog:
    """A part of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, entry: Entry) -> None:
        """Write down what is about to be done; it may be done when this returns."""
        await self._database.write(note, entry)

    async def search(self, search: AuditSearch, *, limit: int, cursor: str | None) -> Page[Entry]:
        """Newest first; at most 200 on a page. Raises BadCursor."""
        return await self._database.read(_search, search, limit, cursor)

    async def prune(self, *, before_ms: int) -> int:
        """Delete older rows, in several transactions; returns how many. Where another node is pruning, it is left to
        that one."""
        pruned = last = await self._database.write(_delete_before, before_ms)
        while last == AT_ONCE:
            last = await self._database.write(_delete_before, before_ms)
            pruned += last
        return pruned


def note(tx: Connection, entry: Entry) -> None:
    """Write a line, with whatever else is written in the transaction."""
    values = {one.name: getattr(entry, one.name) for one in fields(Entry) if one.name != "person"}
    role, user_id = (None, None) if entry.person is None else entry.person
    tx.execute(insert(audit_log), [{**values, "role": role, "user_id": user_id}])


def _search(tx: Connection, search: AuditSearch, limit: int, cursor: str | None) -> Page[Entry]:
    query = select(audit_log).where(*_conditions(search))
    return page(tx, query, (row.at_ms, row.id), _entry, limit=limit, cursor=cursor)


def _conditions(search: AuditSearch) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (row.admin_id, search.admin_id),
            (row.call_id, search.call_id),
            (row.action, search.action),
        )
        if value is not None
    ]
    if search.from_ms is not None:
        wanted.append(row.at_ms >= search.from_ms)
    if search.to_ms is not None:
        wanted.append(row.at_ms < search.to_ms)
    return wanted


def _entry(found: RowMapping) -> Entry:
    return Entry(
        id=found["id"],
        at_ms=found["at_ms"],
        admin_id=found["admin_id"],
        action=found["action"],
        call_id=found["call_id"],
        person=None if found["user_id"] is None else Person(found["role"], found["user_id"]),
        subject=found["subject"],
        reason=found["reason"],
        details=found["details"],
    )


def _delete_before(tx: Connection, before_ms: int) -> int:
    """Fewer than ``AT_ONCE`` at the end, none where another node is at it."""
    if not is_ours(tx):
        return 0
    old = select(row.id).where(row.at_ms < before_ms).order_by(row.at_ms).limit(AT_ONCE)
    return tx.execute(delete(audit_log).where(row.id.in_(old))).rowcount
