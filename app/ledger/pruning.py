"""Deletes what nobody asks for any more: old events, and calls that never connected. Nothing about money is deleted.

Done in batches, so that other writers wait some milliseconds for one batch and not for all. Of several nodes one prunes
at a time: whoever finds another at it leaves this round to that one.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, func, select

from app.ledger.tables import (
    UNCONNECTED,
    call_feedback,
    call_interruptions,
    call_metadata,
    call_recordings,
    call_records,
    call_segments,
    call_transitions,
    call_units,
    calls,
    events,
    live_parties,
    recovery_log,
)

PARTS = (
    call_transitions,
    call_segments,
    call_interruptions,
    call_records,
    call_metadata,
    call_feedback,
    call_recordings,
    recovery_log,
    events,
    live_parties,
)
EVENTS_AT_ONCE = 2000
CALLS_AT_ONCE = 200  # with some ten rows each
PRUNING = 0x566F696365507201  # PostgreSQL advisory lock: its holder deletes a batch


def events_before(tx: Connection, before_ms: int) -> int:
    """Delete a batch of older events. Returns how many: fewer than ``EVENTS_AT_ONCE`` at the end, none where another
    node is at it."""
    if not is_ours(tx):
        return 0
    old = select(events.c.seq).where(events.c.at_ms < before_ms).order_by(events.c.at_ms).limit(EVENTS_AT_ONCE)
    return tx.execute(delete(events).where(events.c.seq.in_(old))).rowcount


def unconnected_before(tx: Connection, before_ms: int) -> int:
    """Delete a batch of calls that ended earlier and never connected, with all that was stored of them.

    Returns how many: fewer than ``CALLS_AT_ONCE`` at the end, none where another node is at it. A call with a unit is
    never deleted.
    """
    if not is_ours(tx):
        return 0
    charged = exists().where(call_units.c.call_id == calls.c.id)
    old = (
        select(calls.c.id)
        .where(UNCONNECTED, calls.c.ended_at_ms < before_ms, ~charged)
        .order_by(calls.c.ended_at_ms)
        .limit(CALLS_AT_ONCE)
        .with_for_update(skip_locked=True)  # somebody may be asking for its end once more
    )
    found = tx.scalars(old).all()
    if found:
        for part in PARTS:
            tx.execute(delete(part).where(part.c.call_id.in_(found)))
        tx.execute(delete(calls).where(calls.c.id.in_(found)))
    return len(found)


def is_ours(tx: Connection) -> bool:
    """Whether no other node prunes now; until the end of the transaction, none begins to. SQLite has one node."""
    return tx.dialect.name != "postgresql" or bool(tx.scalar(select(func.pg_try_advisory_xact_lock(PRUNING))))
