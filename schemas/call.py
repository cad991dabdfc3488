"""Bodies about calls: asking for one, answering, ending, reading what happened and what it cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.own_media import OwnMedia
from schemas.quality import FlagLine, ProtocolLine, QualityLine
from schemas.types import CallId, Count, Cursor, Mos, Name, Points, Price, Reason, Timestamp, Word

MAX_TIMELINE: Final = 100_000
MAX_UNITS: Final = 1_000_000


class CallState(StrEnum):
    """The states of a call, in the only order in which they come."""

    REQUESTING = "requesting"
    RINGING = "ringing"
    MATCHED = "matched"
    CONNECTING = "connecting"
    TALKING = "talking"
    ENDING = "ending"
    ENDED = "ended"

    def precedes(self, other: CallState) -> bool:
        return _ORDER[self] < _ORDER[other]


_ORDER = {state: rank for rank, state in enumerate(CallState)}


class EndedBy(StrEnum):
    """Who ended a call: a party, an admin, or the node by its own rules."""

    USER = "user"
    OTOMO = "otomo"
    ADMIN = "admin"
    NODE = "node"


class CallRequest(Body, frozen=True):
    otomo_id: Name
    call_id: CallId | UnsetType = UNSET


class ReasonBody(Body, frozen=True):
    """Why a party rejects, cancels or ends. No body at all is fine too."""

    empty_body: ClassVar[bool] = True

    reason: Reason | UnsetType = UNSET


class AdminCallRequest(Body, frozen=True):
    """A call that another system has matched; it starts in ``matched``."""

    user_id: Name
    otomo_id: Name
    call_id: CallId | UnsetType = UNSET
    price_per_minute: Price | UnsetType = UNSET


class CallAck(Answer, frozen=True):
    call_id: CallId
    state: CallState


class CallBody(Answer, frozen=True, kw_only=True):
    """A call. What has not happened is null."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    state: CallState
    price_per_minute: Price
    created_at: Timestamp
    accepted_at: Timestamp | None
    connected_at: Timestamp | None
    ended_at: Timestamp | None
    end_reason: Reason | None
    duration_seconds: Count | None
    billed_units: Count
    billed_points: Points


class TimelineEntry(Answer, frozen=True, kw_only=True):
    """A state that the call came to, with its cause; or a ``unit`` that was charged, with its index and points."""

    at: Timestamp
    type: Word
    cause: Reason | UnsetType | None = UNSET
    index: Count | UnsetType = UNSET
    points: Points | UnsetType = UNSET


class CallDetail(CallBody, frozen=True, kw_only=True):
    """A call with everything that happened to it, oldest first: ``{at, type, ...}``, and once it has ended how it went.

    Until then, and for a call that a restart ended, what comes after ``timeline`` is null or empty. ``mos`` is the
    lowest of ``quality``.
    """

    timeline: Annotated[tuple[TimelineEntry, ...], Meta(max_length=MAX_TIMELINE)] = ()
    ended_by: EndedBy | None = None
    billed_seconds: Count | None = None
    worker: Count | None = None
    mos: Mos | None = None
    quality: Annotated[tuple[QualityLine, ...], Meta(max_length=2)] = ()
    flags: tuple[FlagLine, ...] = ()
    transports: Annotated[tuple[ProtocolLine, ...], Meta(max_length=2)] = ()


class PartyCallDetail(CallDetail, frozen=True, kw_only=True):
    """``media`` is null without a room, and for admins, who are no party."""

    media: OwnMedia | None = None


class CallList(Answer, frozen=True):
    """One page; ``next_cursor`` is null on the last one."""

    calls: tuple[CallBody, ...]
    next_cursor: Cursor | None


class BilledUnit(Answer, frozen=True):
    """One charged minute; ``index`` counts from 1."""

    index: Count
    points: Points
    charged_at: Timestamp


class Billing(Answer, frozen=True):
    call_id: CallId
    units: Annotated[tuple[BilledUnit, ...], Meta(max_length=MAX_UNITS)]
    total_points: Points
