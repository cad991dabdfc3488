"""What anybody is told, stored before it is told: appended in the transaction that made it true, replayed by number.

A reader who sees event *n* must have been able to see every smaller one, or a client that reconnects with ``since=n``
would miss the late ones. SQLite gives this by having one writer. On PostgreSQL a lock is taken before the numbers are
drawn and held until the commit: :func:`append` is therefore the last statement of its transaction, so that nobody who
holds the lock waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, insert, or_, select
from sqlalchemy import Connection

from app.ledger.tables import events
from app.ledger.values import Event, NewEvent

ORDER_LOCK = 0x566F696365506C01  # PostgreSQL advisory lock: who holds it draws event numbers
REPLAY_LIMIT = 1000  # events in one answer


@dataclass(frozen=True, slots=True)
class Draft:
    """An event on its way into the table; ``unit_index`` where a unit's charge made it."""

    event: NewEvent
    at_ms: int
    unit_index: int | None = None


def drafts(new: Iterable[NewEvent], at_ms: int) -> list[Draft]:
    return [Draft(event, at_ms) for event in new]


def append(tx: Connection, new: Sequence[Draft]) -> tuple[Event, ...]:
    """Store events, in their order. Must be the last statement of the transaction (see above)."""
    if not new:
        return ()
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(ORDER_LOCK)))
    rows = [
        {
            "user_id": draft.event.user_id,
            "call_id": draft.event.call_id,
            "unit_index": draft.unit_index,
            "type": draft.event.type,
            "payload": dict(draft.event.payload),
            "at_ms": draft.at_ms,
        }
        for draft in new
    ]
    numbers = tx.scalars(insert(events).returning(events.c.seq, sort_by_parameter_order=True), rows)
    return tuple(
        Event(seq, draft.event.type, draft.event.payload, draft.event.user_id, draft.event.call_id, draft.at_ms)
        for seq, draft in zip(numbers, new, strict=True)
    )


def since(tx: Connection, user_id: str, seq: int, *, broadcasts: bool, limit: int) -> tuple[Event, ...]:
    audience = events.c.user_id == user_id
    if broadcasts:
        audience = or_(audience, events.c.user_id.is_(None))
    return _fetch(tx, _events().where(events.c.seq > seq, audience).limit(limit))


def tail(tx: Connection, seq: int, *, limit: int) -> tuple[Event, ...]:
    return _fetch(tx, _events().where(events.c.seq > seq).limit(limit))


def of_unit(tx: Connection, call_id: str, index: int) -> tuple[Event, ...]:
    """What was told about a unit, where it is not pruned yet."""
    return _fetch(tx, _events().where(events.c.call_id == call_id, events.c.unit_index == index))


def of_type(tx: Connection, call_id: str, event_type: str) -> tuple[Event, ...]:
    return _fetch(tx, _events().where(events.c.call_id == call_id, events.c.type == event_type))


def latest_seq(tx: Connection) -> int:
    return int(tx.scalar(select(func.coalesce(func.max(events.c.seq), 0))) or 0)


def prune(tx: Connection, before_ms: int) -> int:
    return (tx.execute(delete(events).where(events.c.at_ms < before_ms))).rowcount


def _events() -> Select[tuple[int, str, object, str, str, int]]:
    columns = (events.c.seq, events.c.type, events.c.payload, events.c.user_id, events.c.call_id, events.c.at_ms)
    return select(*columns).order_by(events.c.seq)


def _fetch(tx: Connection, query: Select[tuple[int, str, object, str, str, int]]) -> tuple[Event, ...]:
    return tuple(Event(**row) for row in tx.execute(query).mappings())
