"""Bodies about calls: asking for one, answering, ending, reading what happened and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from schemas.base import ObjectOf, Schema
from schemas.fields import UINT32_MAX, CallId, Choice, FreeObject, Known, ListOf, Name, Number, Text, Timestamp, Whole
from schemas.own_media import OwnMedia, OwnMediaSchema
from schemas.quality import (
    MAX_FLAGS,
    FlagLine,
    FlagLineSchema,
    ProtocolLine,
    ProtocolLineSchema,
    QualityLine,
    QualityLineSchema,
)

CallState = Literal["requesting", "ringing", "matched", "connecting", "talking", "ending", "ended"]
EndedBy = Literal["user", "otomo", "admin", "node"]

MAX_PRICE: Final = 1_000_000_000  # points a minute
MAX_POINTS: Final = 2**53 - 1  # what JSON numbers hold exactly in every language (RFC 8259 §6)
MAX_REASON: Final = 200  # characters
PAGE_LIMIT: Final = 200  # entries


def price_per_minute(**options: Any) -> Whole:
    """Points a minute; 0 makes a free call."""
    return Whole(at_least=0, at_most=MAX_PRICE, **options)


def count(**options: Any) -> Whole:
    return Whole(at_least=0, at_most=UINT32_MAX, **options)


def points(**options: Any) -> Whole:
    return Whole(at_least=0, at_most=MAX_POINTS, **options)


@dataclass(frozen=True, slots=True)
class CallRequest:
    otomo_id: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReasonBody:
    """Why a party rejects, cancels or ends. No body at all is fine too."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AdminCallRequest:
    """A call that another system has matched; it starts in ``matched``."""

    user_id: str
    otomo_id: str
    call_id: str | None = None
    price_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class CallAck:
    call_id: str
    state: CallState


@dataclass(frozen=True, slots=True)
class CallBody:
    """A call. What has not happened is null."""

    call_id: str
    user_id: str
    otomo_id: str
    state: CallState
    price_per_minute: int
    created_at: datetime
    accepted_at: datetime | None
    connected_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    duration_seconds: int | None
    billed_units: int
    billed_points: int


@dataclass(frozen=True, slots=True)
class CallDetail(CallBody):
    """A call with everything that happened to it, oldest first: ``{at, type, ...}``, and once it has ended how it went.

    Until then, and for a call that a restart ended, what comes after ``timeline`` is null or empty. ``mos`` is the
    lowest of ``quality``.
    """

    timeline: tuple[dict[str, Any], ...] = ()
    ended_by: EndedBy | None = None
    billed_seconds: int | None = None
    worker: int | None = None
    mos: float | None = None
    quality: tuple[QualityLine, ...] = ()
    flags: tuple[FlagLine, ...] = ()
    transports: tuple[ProtocolLine, ...] = ()


@dataclass(frozen=True, slots=True)
class PartyCallDetail(CallDetail):
    """``media`` is null without a room, and for admins, who are no party."""

    media: OwnMedia | None = None


@dataclass(frozen=True, slots=True)
class CallList:
    """One page; ``next_cursor`` is null on the last one."""

    calls: tuple[CallBody, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class BilledUnit:
    """One charged minute; ``index`` counts from 1."""

    index: int
    points: int
    charged_at: datetime


@dataclass(frozen=True, slots=True)
class Billing:
    call_id: str
    units: tuple[BilledUnit, ...]
    total_points: int


TIMELINE_ENTRY: Final[Known] = {
    "at": Timestamp(),
    "type": Text(at_most=64),
    "cause": Text(at_most=MAX_REASON, load_default=None),
    "index": count(load_default=None),
    "points": points(load_default=None),
}
"""A state that the call came to, with its cause; or a ``unit`` that was charged."""


class CallRequestSchema(Schema[CallRequest]):
    otomo_id = Name()
    call_id = CallId(load_default=None)


class ReasonBodySchema(Schema[ReasonBody]):
    empty_body = True

    reason = Text(at_least=0, at_most=MAX_REASON, load_default=None)


class AdminCallRequestSchema(Schema[AdminCallRequest]):
    user_id = Name()
    otomo_id = Name()
    call_id = CallId(load_default=None)
    price_per_minute = price_per_minute(load_default=None)


class CallAckSchema(Schema[CallAck]):
    call_id = CallId()
    state = Choice(*get_args(CallState))


class CallBodySchema(Schema[CallBody]):
    call_id = CallId()
    user_id = Name()
    otomo_id = Name()
    state = Choice(*get_args(CallState))
    price_per_minute = price_per_minute()
    created_at = Timestamp()
    accepted_at = Timestamp(allow_none=True)
    connected_at = Timestamp(allow_none=True)
    ended_at = Timestamp(allow_none=True)
    end_reason = Text(at_most=MAX_REASON, allow_none=True)
    duration_seconds = count(allow_none=True)
    billed_units = count()
    billed_points = points()


class CallDetailSchema(CallBodySchema, Schema[CallDetail]):
    timeline = ListOf(FreeObject(TIMELINE_ENTRY), at_most=100_000)
    ended_by = Choice(*get_args(EndedBy), allow_none=True)
    billed_seconds = count(allow_none=True)
    worker = count(allow_none=True)
    mos = Number(at_least=1.0, allow_none=True)
    quality = ListOf(ObjectOf(QualityLineSchema), at_most=2)
    flags = ListOf(ObjectOf(FlagLineSchema), at_most=MAX_FLAGS)
    transports = ListOf(ObjectOf(ProtocolLineSchema), at_most=2)


class PartyCallDetailSchema(CallDetailSchema, Schema[PartyCallDetail]):
    media = ObjectOf(OwnMediaSchema, allow_none=True)


class CallListSchema(Schema[CallList]):
    calls = ListOf(ObjectOf(CallBodySchema), at_most=PAGE_LIMIT)
    next_cursor = Text(at_most=512, allow_none=True)


class BilledUnitSchema(Schema[BilledUnit]):
    index = Whole(at_least=1, at_most=UINT32_MAX)
    points = points()
    charged_at = Timestamp()


class BillingSchema(Schema[Billing]):
    call_id = CallId()
    units = ListOf(ObjectOf(BilledUnitSchema), at_most=1_000_000)
    total_points = points()
