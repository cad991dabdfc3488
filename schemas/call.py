"""Bodies about calls: asking for one, answering, ending, and reading its course and its cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.own_media import OwnMedia
from schemas.quality import FlagLine, ProtocolLine, QualityLine
from schemas.tariff import LongestSeconds, Tariff
from schemas.types import (
    CallId,
    Comment,
    Count,
    Cursor,
    Metadata,
    Mos,
    Name,
    PartyRole,
    Points,
    Price,
    Reason,
    Score,
    Tag,
    Timestamp,
    Word,
)

InterruptionReason = Literal["no_rtp", "worker_died", "node_lost", "moved"]
MoveReason = Literal["worker_died", "node_lost", "node_draining"]

MAX_TIMELINE: Final = 100_000
MAX_UNITS: Final = 1_000_000
MAX_TAGS: Final = 16


class CallState(StrEnum):
    """The states of a call, in the order in which they come: only ``interrupted`` leads back, to ``talking``."""

    REQUESTING = "requesting"
    RINGING = "ringing"
    MATCHED = "matched"
    CONNECTING = "connecting"
    TALKING = "talking"
    INTERRUPTED = "interrupted"
    ENDING = "ending"
    ENDED = "ended"

    def precedes(self, other: CallState) -> bool:
        return _ORDER[self] < _ORDER[other]

    def may_become(self, other: CallState) -> bool:
        return self.precedes(other) or (self is CallState.INTERRUPTED and other is CallState.TALKING)


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
    metadata: Metadata | UnsetType = UNSET


class ReasonBody(Body, frozen=True):
    """Why a party rejects, cancels or ends a call. The body may be left out."""

    empty_body: ClassVar[bool] = True

    reason: Reason | UnsetType = UNSET


class AdminCallRequest(Body, frozen=True):
    """A call that another system has matched; it begins in ``matched``. It may have a ``tariff`` of its own, or the
    node's at a ``price_per_minute`` of its own; with ``record`` it is recorded from its first packet on."""

    user_id: Name
    otomo_id: Name
    call_id: CallId | UnsetType = UNSET
    price_per_minute: Price | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    tariff: Tariff | UnsetType = UNSET
    record: bool = False

    def __post_init__(self) -> None:
        if self.tariff is not UNSET and self.price_per_minute is not UNSET:
            raise ValueError("tariff: must not be given together with pricePerMinute")


class ExtendRequest(Body, frozen=True):
    """By how many seconds of talk the call's longest duration is raised."""

    seconds: LongestSeconds


class Extended(Answer, frozen=True):
    """After how many seconds of talk the call ends now."""

    call_id: CallId
    max_seconds: Count


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
    refunded_points: Points
    metadata: Metadata = {}  # noqa: RUF012 -- msgspec makes each its own


class TimelineEntry(Answer, frozen=True, kw_only=True):
    """A state that the call reached, with its cause; or a ``unit`` that was charged, with its index and points."""

    at: Timestamp
    type: Word
    cause: Reason | UnsetType | None = UNSET
    index: Count | UnsetType = UNSET
    points: Points | UnsetType = UNSET


class InterruptionLine(Answer, frozen=True, kw_only=True):
    """A time in which a party was away: which one, null where the room was lost; ``until`` is null while
    it lasts."""

    reason: InterruptionReason
    user_id: Name | None
    role: PartyRole | None
    since: Timestamp
    until: Timestamp | None


class FeedbackRequest(Body, frozen=True):
    """What a party thinks of a call that has ended: ``score`` is 1 to 5, 5 the best."""

    score: Score
    tags: Annotated[tuple[Tag, ...], Meta(max_length=MAX_TAGS)] = ()
    comment: Comment = ""


class FeedbackLine(Answer, frozen=True, kw_only=True):
    """What a party thought of a call, and when it said so."""

    user_id: Name
    role: PartyRole
    score: Score
    tags: Annotated[tuple[Tag, ...], Meta(max_length=MAX_TAGS)]
    comment: Comment
    at: Timestamp


class CallDetail(CallBody, frozen=True, kw_only=True):
    """A call with its timeline, oldest first, and, once it has ended, how it went.

    ``media_epoch`` numbers its rooms: a client that knows a lower one has to make its media anew. After
    ``max_seconds`` of talk it ends: the tariff's, and what admins have added. Before
    its end, and where a restart ended it, the fields after ``interrupted_seconds`` are null or empty. ``mos`` is the
    lowest in ``quality``. A party reads its own ``feedback``, an admin that of both.
    """

    media_epoch: Count
    tariff: Tariff
    max_seconds: Count
    timeline: Annotated[tuple[TimelineEntry, ...], Meta(max_length=MAX_TIMELINE)] = ()
    interruptions: tuple[InterruptionLine, ...] = ()
    interrupted_seconds: Count = 0
    ended_by: EndedBy | None = None
    billed_seconds: Count | None = None
    worker: Count | None = None
    mos: Mos | None = None
    quality: Annotated[tuple[QualityLine, ...], Meta(max_length=2)] = ()
    flags: tuple[FlagLine, ...] = ()
    transports: Annotated[tuple[ProtocolLine, ...], Meta(max_length=2)] = ()
    feedback: Annotated[tuple[FeedbackLine, ...], Meta(max_length=2)] = ()


class PartyCallDetail(CallDetail, frozen=True, kw_only=True):
    """A call for one of its parties. ``media`` is null where there is no room, and for admins, who are no party."""

    media: OwnMedia | None = None


class CallList(Answer, frozen=True):
    """One page; ``next_cursor`` is null on the last one."""

    calls: tuple[CallBody, ...]
    next_cursor: Cursor | None


class BilledUnit(Answer, frozen=True):
    """One charged unit; ``index`` counts from 1."""

    index: Count
    points: Points
    charged_at: Timestamp
    paid_points: Points
    bonus_points: Points


class RefundedPart(Answer, frozen=True):
    """Points of a call that were given back; ``units`` is null where points were asked for."""

    points: Points
    units: Count | None
    reason: Reason
    refunded_at: Timestamp


class Billing(Answer, frozen=True):
    """The units of a call and their sum; and what was given back of it."""

    call_id: CallId
    units: Annotated[tuple[BilledUnit, ...], Meta(max_length=MAX_UNITS)]
    total_points: Points
    refunded_points: Points
    refunds: tuple[RefundedPart, ...]
