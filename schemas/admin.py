"""Bodies about the node itself, for admins: what its restarts found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from schemas.base import ObjectOf, Schema
from schemas.call import CallState, count, points
from schemas.fields import CallId, Choice, ListOf, Timestamp


@dataclass(frozen=True, slots=True)
class RecoveredCall:
    """A call that a restart found open, and how it was ended; ``state`` is what it was found in."""

    call_id: str
    recovered_at: datetime
    state: CallState
    ended_at: datetime
    duration_seconds: int
    billed_units: int
    billed_points: int


@dataclass(frozen=True, slots=True)
class RecoveryLog:
    """The last 50 of them, newest first."""

    recovered: tuple[RecoveredCall, ...]


class RecoveredCallSchema(Schema[RecoveredCall]):
    call_id = CallId()
    recovered_at = Timestamp()
    state = Choice(*get_args(CallState))
    ended_at = Timestamp()
    duration_seconds = count()
    billed_units = count()
    billed_points = points()


class RecoveryLogSchema(Schema[RecoveryLog]):
    recovered = ListOf(ObjectOf(RecoveredCallSchema), at_most=50)
