"""Bodies about points: a wallet's balance, its use, an admin's adjustment, an otomo's price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from marshmallow import ValidationError

from schemas.base import ObjectOf, Schema
from schemas.call import MAX_REASON, PAGE_LIMIT, count, points, price_per_minute
from schemas.fields import CallId, ListOf, Name, Text, Timestamp, Whole

MAX_ADJUSTMENT: Final = 10**12  # points


class Adjustment(Whole):
    """A number of points to add, or to take where it is negative; never zero."""

    def __init__(self, **options: Any) -> None:
        super().__init__(at_least=-MAX_ADJUSTMENT, at_most=MAX_ADJUSTMENT, **options)

    def accept(self, value: Any) -> int:
        amount = super().accept(value)
        if amount == 0:
            raise ValidationError("must not be zero")
        return amount

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"not": {"const": 0}}


@dataclass(frozen=True, slots=True)
class AdjustRequest:
    """Points for, or from, a wallet. The same ``idempotency_key`` never counts twice."""

    amount: int
    reason: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class RateRequest:
    price_per_minute: int


@dataclass(frozen=True, slots=True)
class Rate:
    otomo_id: str
    price_per_minute: int


@dataclass(frozen=True, slots=True)
class Balance:
    user_id: str
    balance: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What one charged call cost."""

    call_id: str
    otomo_id: str
    connected_at: datetime
    ended_at: datetime | None
    duration_seconds: int | None
    billed_units: int
    billed_points: int


@dataclass(frozen=True, slots=True)
class Usage:
    """One page; ``next_cursor`` is null on the last one."""

    usage: tuple[UsageLine, ...]
    next_cursor: str | None


class AdjustRequestSchema(Schema[AdjustRequest]):
    amount = Adjustment()
    reason = Text(at_most=MAX_REASON)
    idempotency_key = Name()


class RateRequestSchema(Schema[RateRequest]):
    price_per_minute = price_per_minute()


class RateSchema(Schema[Rate]):
    otomo_id = Name()
    price_per_minute = price_per_minute()


class BalanceSchema(Schema[Balance]):
    user_id = Name()
    balance = points()
    updated_at = Timestamp()


class UsageLineSchema(Schema[UsageLine]):
    call_id = CallId()
    otomo_id = Name()
    connected_at = Timestamp()
    ended_at = Timestamp(allow_none=True)
    duration_seconds = count(allow_none=True)
    billed_units = count()
    billed_points = points()


class UsageSchema(Schema[Usage]):
    usage = ListOf(ObjectOf(UsageLineSchema), at_most=PAGE_LIMIT)
    next_cursor = Text(at_most=512, allow_none=True)
