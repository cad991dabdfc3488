"""Bodies about points: a wallet's balance, its use, an admin's adjustment, an otomo's price."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.call import MAX_UNITS
from schemas.tariff import Tariff
from schemas.types import MAX_REASON, MAX_SAFE, CallId, Count, Cursor, Name, PointKind, Points, Price, Timestamp, at_ms
from worker_bridge.value import PRINTABLE, matching

MAX_ADJUSTMENT: Final = 10**12  # points
MAX_DAYS: Final = 366  # of one answer

Month = Annotated[str, matching(r"\d{4}-\d\d", "a month such as 2026-12")]
Day = Annotated[
    str, matching(r"\d{4}-\d\d-\d\d", "a day such as 2026-12-31"), Meta(extra_json_schema={"format": "date"})
]
RefundablePoints = Annotated[int, Meta(ge=1, le=MAX_SAFE)]
RefundableUnits = Annotated[int, Meta(ge=1, le=MAX_UNITS)]
Adjustment = Annotated[int, Meta(ge=-MAX_ADJUSTMENT, le=MAX_ADJUSTMENT, extra_json_schema={"not": {"const": 0}})]
"""How many points to add; negative to take some away, never zero."""


class AdjustRequest(Body, frozen=True):
    """Points for, or from, a wallet: such as were paid for, or a bonus; until ``expires_at``, where that is given. The
    same ``idempotency_key`` never counts twice."""

    amount: Adjustment
    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON), PRINTABLE]
    idempotency_key: Name
    kind: PointKind = "paid"
    expires_at: Timestamp | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.amount == 0:
            raise ValueError("amount: must not be zero")
        if self.expires_at is UNSET:
            return
        if self.amount < 0:
            raise ValueError("expiresAt: must not be given for points that are taken away")
        try:
            at_ms(self.expires_at)
        except ValueError:
            raise ValueError("expiresAt: must be a day and time that there is") from None


class RefundRequest(Body, frozen=True):
    """Points to give back of what a call cost: so many, or those of its last so many ``units`` that no other refund of
    units has given back. The same ``idempotency_key`` never counts twice."""

    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON), PRINTABLE]
    idempotency_key: Name
    points: RefundablePoints | UnsetType = UNSET
    units: RefundableUnits | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.points is UNSET and self.units is UNSET:
            raise ValueError("points: is required")
        if self.points is not UNSET and self.units is not UNSET:
            raise ValueError("units: must not be given together with points")


class RefundDone(Answer, frozen=True, kw_only=True):
    """What was given back, all that was given back of the call by then, and the balance right after it."""

    call_id: CallId
    user_id: Name
    points: Points
    refunded_points: Points
    balance: Points
    refunded_at: Timestamp


class RateRequest(Body, frozen=True):
    """A price in points a minute, for the node's tariff; or a tariff."""

    price_per_minute: Price | UnsetType = UNSET
    tariff: Tariff | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.tariff is UNSET and self.price_per_minute is UNSET:
            raise ValueError("pricePerMinute: is required")
        if self.tariff is not UNSET and self.price_per_minute is not UNSET:
            raise ValueError("tariff: must not be given together with pricePerMinute")


class Rate(Answer, frozen=True):
    """What an otomo's calls cost: ``price_per_minute`` by the node's tariff, where there is no other ``tariff``."""

    otomo_id: Name
    price_per_minute: Price
    tariff: Tariff | None = None


class Balance(Answer, frozen=True):
    user_id: Name
    balance: Points
    updated_at: Timestamp


class OwnBalance(Balance, frozen=True):
    """A balance, and how much of it is of each kind."""

    paid_points: Points
    bonus_points: Points


class LotLine(Answer, frozen=True, kw_only=True):
    """Points that came together, and how many are left. Of paid points that do not expire there is one line, without
    a beginning."""

    kind: PointKind
    remaining: Points
    points: Points | None
    expires_at: Timestamp | None
    created_at: Timestamp | None


class WalletDetail(OwnBalance, frozen=True):
    """A wallet with its lots, in the order in which they are spent."""

    lots: tuple[LotLine, ...]


class OutstandingLine(Answer, frozen=True):
    """What all users together hold of a kind that expires in a month, in UTC; null: never."""

    kind: PointKind
    month: Month | None
    points: Points


class OutstandingPoints(Answer, frozen=True):
    at: Timestamp
    paid_points: Points
    bonus_points: Points
    lots: tuple[OutstandingLine, ...]


class PointsDay(Answer, frozen=True, kw_only=True):
    """What points did on a day, in UTC: what calls cost, what was given back of it, what admins gave and took away, and
    what expired. ``outstanding_points`` is what all users together held at its end, or hold now."""

    day: Day
    charged_points: Points
    refunded_points: Points
    added_points: Points
    removed_points: Points
    expired_points: Points
    outstanding_points: Points


class PointsByDay(Answer, frozen=True):
    """Oldest first, with the days on which nothing happened."""

    at: Timestamp
    days: Annotated[tuple[PointsDay, ...], Meta(max_length=MAX_DAYS)]


class UsageLine(Answer, frozen=True, kw_only=True):
    """What one call cost."""

    call_id: CallId
    otomo_id: Name
    connected_at: Timestamp
    ended_at: Timestamp | None
    duration_seconds: Count | None
    billed_units: Count
    billed_points: Points
    refunded_points: Points


class Usage(Answer, frozen=True):
    """One page; ``next_cursor`` is null on the last one."""

    usage: tuple[UsageLine, ...]
    next_cursor: Cursor | None
