"""Bodies about the node itself, for admins: the calls that its restarts found open."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from schemas.base import Answer
from schemas.call import CallState
from schemas.types import CallId, Count, Points, Timestamp


class RecoveredCall(Answer, frozen=True, kw_only=True):
    """A call that a restart found open, and how it was ended; ``state`` is what it was found in."""

    call_id: CallId
    recovered_at: Timestamp
    state: CallState
    ended_at: Timestamp
    duration_seconds: Count
    billed_units: Count
    billed_points: Points


class RecoveryLog(Answer, frozen=True):
    """The last 50 such calls, newest first."""

    recovered: Annotated[tuple[RecoveredCall, ...], Meta(max_length=50)]
