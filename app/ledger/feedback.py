"""What parties think of their calls, said once after the end."""

from __future__ import annotations

from dataclasses import asdict, fields

import msgspec
from sqlalchemy import Connection, insert, select

from app.ledger.errors import StaleState, UnknownCall
from app.ledger.tables import call_feedback, calls
from app.ledger.values import Feedback
from schemas.base import encode
from schemas.call import CallState

WINDOW_MS = 24 * 60 * 60 * 1000  # after the end


def give(tx: Connection, call_id: str, feedback: Feedback) -> Feedback:
    """Store what a party thinks of a call, or find the same where it is stored already: the answer is what is stored.

    Raises UnknownCall; StaleState where the call has not ended, or ended too long ago.
    """
    query = select(calls.c.state, calls.c.ended_at_ms).where(calls.c.id == call_id).with_for_update()
    row = tx.execute(query).one_or_none()
    if row is None:
        raise UnknownCall(call_id)
    if (stored := _given_by(tx, call_id, feedback.role)) is not None:
        return stored
    if row.ended_at_ms is None or feedback.at_ms > row.ended_at_ms + WINDOW_MS:
        raise StaleState(call_id, CallState(row.state))
    tx.execute(insert(call_feedback), [{"call_id": call_id, **asdict(feedback), "tags": encode(feedback.tags)}])
    return feedback


def of_call(tx: Connection, call_id: str) -> tuple[Feedback, ...]:
    """What was said of a call, in the order in which it was."""
    query = select(*(call_feedback.c[one.name] for one in fields(Feedback)))
    rows = tx.execute(query.where(call_feedback.c.call_id == call_id)).mappings()
    found = [Feedback(**{**row, "tags": tuple(msgspec.json.decode(row["tags"]))}) for row in rows]
    return tuple(sorted(found, key=lambda one: (one.at_ms, one.role)))


def _given_by(tx: Connection, call_id: str, role: str) -> Feedback | None:
    return next((one for one in of_call(tx, call_id) if one.role == role), None)
