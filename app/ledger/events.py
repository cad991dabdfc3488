"""What anybody is told, stored before it is told: appended in the transaction that made it true, replayed by number.

A reader who sees event *n* must have been able to see every smaller one, or a client that reconnects with ``since=n`` would
miss the late ones. SQLite gives this by having one writer. On PostgreSQL a lock is taken before the numbers are drawn and
held until the commit: :func:`append` is therefore the last statement of its transaction, so that nobody who holds the lock
waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def append(tx: AsyncConnection, new: Sequence[Draft]) -> tuple[Event, ...]:
    """Store events, in their order. Must be the last statement of the transaction (see above)."""
    if not new:
        return ()
    if tx.dialect.name == "postgresql":
        await tx.execute(select(func.pg_advisory_xact_lock(ORDER_LOCK)))
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
    numbers = await tx.scalars(insert(events).returning(events.c.seq, sort_by_parameter_order=True), rows)
    return tuple(
        Event(seq, draft.event.type, draft.event.payload, draft.event.user_id, draft.event.call_id, draft.at_ms)
        for seq, draft in zip(numbers, new, strict=True)
    )


async def since(tx: AsyncConnection, user_id: str, seq: int, *, broadcasts: bool, limit: int) -> tuple[Event, ...]:
    audience = events.c.user_id == user_id
    if broadcasts:
        audience = or_(audience, events.c.user_id.is_(None))
    return await _fetch(tx, _events().where(events.c.seq > seq, audience).limit(limit))


async def tail(tx: AsyncConnection, seq: int, *, limit: int) -> tuple[Event, ...]:
    return await _fetch(tx, _events().where(events.c.seq > seq).limit(limit))


async def of_unit(tx: AsyncConnection, call_id: str, index: int) -> tuple[Event, ...]:
    """What was told about a unit, where it is not pruned yet."""
    return await _fetch(tx, _events().where(events.c.call_id == call_id, events.c.unit_index == index))


async def of_type(tx: AsyncConnection, call_id: str, event_type: str) -> tuple[Event, ...]:
    return await _fetch(tx, _events().where(events.c.call_id == call_id, events.c.type == event_type))


async def latest_seq(tx: AsyncConnection) -> int:
    return int(await tx.scalar(select(func.coalesce(func.max(events.c.seq), 0))) or 0)


async def prune(tx: AsyncConnection, before_ms: int) -> int:
    return (await tx.execute(delete(events).where(events.c.at_ms < before_ms))).rowcount


def _events() -> Select[tuple[int, str, object, str, str, int]]:
    columns = (events.c.seq, events.c.type, events.c.payload, events.c.user_id, events.c.call_id, events.c.at_ms)
    return select(*columns).order_by(events.c.seq)


async def _fetch(tx: AsyncConnection, query: Select[tuple[int, str, object, str, str, int]]) -> tuple[Event, ...]:
    return tuple(Event(**row) for row in (await tx.execute(query)).mappings())
