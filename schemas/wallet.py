"""Bodies about points: a wallet's balance, its use, an admin's adjustment, an otomo's price."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from schemas.base import Answer, Body
from schemas.types import MAX_REASON, CallId, Count, Cursor, Name, Points, Price, Timestamp
from worker_bridge.value import PRINTABLE

MAX_ADJUSTMENT: Final = 10**12  # points

Adjustment = Annotated[int, Meta(ge=-MAX_ADJUSTMENT, le=MAX_ADJUSTMENT, extra_json_schema={"not": {"const": 0}})]
"""How many points to add; negative to take some away, never zero."""


class AdjustRequest(Body, frozen=True):
    """Points for, or from, a wallet. The same ``idempotency_key`` never counts twice."""

    amount: Adjustment
    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON), PRINTABLE]
    idempotency_key: Name

    def __post_init__(self) -> None:
        if self.amount == 0:
            raise ValueError("amount: must not be zero")


class RateRequest(Body, frozen=True):
    price_per_minute: Price


class Rate(Answer, frozen=True):
    otomo_id: Name
    price_per_minute: Price


class Balance(Answer, frozen=True):
    user_id: Name
    balance: Points
    updated_at: Timestamp


class UsageLine(Answer, frozen=True, kw_only=True):
    """What one call cost."""

    call_id: CallId
    otomo_id: Name
    connected_at: Timestamp
    ended_at: Timestamp | None
    duration_seconds: Count | None
    billed_units: Count
    billed_points: Points


class Usage(Answer, frozen=True):
    """One page; ``next_cursor`` is null on the last one."""

    usage: tuple[UsageLine, ...]
    next_cursor: Cursor | None
