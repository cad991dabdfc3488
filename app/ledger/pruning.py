"""Forgetting what nobody asks for any more: old events, and calls that never connected. Money is never forgotten.

In batches, so that other writers wait some milliseconds for one, not for all of them.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, select

from app.ledger.tables import (
    UNCONNECTED,
    call_interruptions,
    call_records,
    call_segments,
    call_transitions,
    call_units,
    calls,
    events,
    live_parties,
    recovery_log,
)

PARTS = (call_transitions, call_segments, call_interruptions, call_records, recovery_log, events, live_parties)
EVENTS_AT_ONCE = 2000
CALLS_AT_ONCE = 200  # with some ten rows each


def events_before(tx: Connection, before_ms: int) -> int:
    """Delete some events that are older; returns how many, and fewer than ``EVENTS_AT_ONCE`` where no more are."""
    old = select(events.c.seq).where(events.c.at_ms < before_ms).order_by(events.c.at_ms).limit(EVENTS_AT_ONCE)
    return tx.execute(delete(events).where(events.c.seq.in_(old))).rowcount


def unconnected_before(tx: Connection, before_ms: int) -> int:
    """Delete some calls that ended earlier and never connected, with all that was stored of them.

    Returns how many, and fewer than ``CALLS_AT_ONCE`` where no more are. A call with a unit is never one of them,
    whatever else is stored of it.
    """
    charged = exists().where(call_units.c.call_id == calls.c.id)
    old = (
        select(calls.c.id)
        .where(UNCONNECTED, calls.c.ended_at_ms < before_ms, ~charged)
        .order_by(calls.c.ended_at_ms)
        .limit(CALLS_AT_ONCE)
        .with_for_update(skip_locked=True)  # another node prunes, too
    )
    found = tx.scalars(old).all()
    if found:
        for part in PARTS:
            tx.execute(delete(part).where(part.c.call_id.in_(found)))
        tx.execute(delete(calls).where(calls.c.id.in_(found)))
    return len(found)
