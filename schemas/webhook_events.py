"""What a back end is told by webhooks: the types, what each carries, and the message around it.

The message is that of the Standard Webhooks specification: ``{"type", "timestamp", "data"}``. Each type has a Struct
of its own, except ``call.ended``, whose data is a :class:`schemas.call.CallDetail`, and ``otomo.status``, whose data is
the event's. They know no receiver: everything is said by ids.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Raw

from schemas.base import Answer
from schemas.call import InterruptionReason
from schemas.recording import RecordingId
from schemas.signaling import TickStatus
from schemas.tariff import EndingReason
from schemas.types import CallId, Count, Metadata, Name, PartyRole, Points, Price, Prose, Reason, Role, Timestamp

WebhookType = Literal[
    "call.ringing", "call.accepted", "call.connected", "call.interrupted", "call.resumed", "call.charged",
    "call.ending", "call.silent", "call.missed", "call.ended",
    "wallet.low", "wallet.adjusted", "otomo.status", "user.banned", "recording.ready", "recording.failed",
]  # fmt: skip
MessageType = Literal[WebhookType, "webhook.test"]

ALL: Final[frozenset[WebhookType]] = frozenset(get_args(WebhookType))
ON_REQUEST: Final[frozenset[WebhookType]] = frozenset({"call.charged", "call.silent"})
"""What an endpoint gets only where it asks for it by name."""


class Message(Answer, frozen=True):
    """The body of every delivery; ``timestamp`` is when it happened, not when it is sent."""

    type: MessageType
    timestamp: Timestamp
    data: Raw


class RingingNotice(Answer, frozen=True, kw_only=True):
    """Somebody calls, and rings until ``expires_at``."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    created_at: Timestamp
    expires_at: Timestamp
    price_per_minute: Price


class AcceptedNotice(Answer, frozen=True, kw_only=True):
    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    accepted_at: Timestamp


class ConnectedNotice(Answer, frozen=True, kw_only=True):
    """The first RTP packet of the call has come: from here on it is charged."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    connected_at: Timestamp


class InterruptedNotice(Answer, frozen=True, kw_only=True):
    """The clock stands since ``since``, because ``away`` is not there; null where the room is lost."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    away: PartyRole | None
    reason: InterruptionReason
    since: Timestamp
    until: Timestamp


class ResumedNotice(Answer, frozen=True, kw_only=True):
    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    interrupted_seconds: Count


class ChargedNotice(Answer, frozen=True, kw_only=True):
    """A unit was charged; ``index`` counts from 1. ``balance`` is null where a free call's user has no wallet."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    index: Count
    points: Points
    total_points: Points
    duration_seconds: Count
    balance: Points | None
    status: TickStatus
    charged_at: Timestamp


class EndingNotice(Answer, frozen=True, kw_only=True):
    """The call will end by itself in so many seconds of talk, at ``at`` unless it is interrupted. With as many points
    as ``points_needed`` it would go on for another unit; null where none would help."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    reason: EndingReason
    seconds_left: Count
    at: Timestamp
    points_needed: Points | None


class SilentNotice(Answer, frozen=True, kw_only=True):
    """Neither party has spoken for so many seconds; unless one does, the call ends at ``ends_at``, null where it does
    not end for that."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    at: Timestamp
    silent_seconds: Count
    ends_at: Timestamp | None


class MissedNotice(Answer, frozen=True, kw_only=True):
    """The call has ended and was never accepted; ``reason`` is why it ended."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    metadata: Metadata
    created_at: Timestamp
    ended_at: Timestamp
    reason: Reason


class WalletLowNotice(Answer, frozen=True, kw_only=True):
    """A balance has fallen below ``threshold``: what the next unit costs, or what the settings say, if that is more.
    ``call_id`` is the call whose unit did it; null where an adjustment did."""

    user_id: Name
    balance: Points
    threshold: Points
    call_id: CallId | None


class AdjustedNotice(Answer, frozen=True, kw_only=True):
    user_id: Name
    balance: Points
    amount: int
    reason: str
    idempotency_key: Name


class BannedNotice(Answer, frozen=True, kw_only=True):
    """An admin keeps somebody out, until a time; null where that has no end."""

    role: Role
    user_id: Name
    reason: Reason | None
    until: Timestamp | None


class RecordingReadyNotice(Answer, frozen=True, kw_only=True):
    """What a party has sent in a call is there to be had, until ``expires_at``; null is for ever."""

    recording_id: RecordingId
    call_id: CallId
    user_id: Name
    otomo_id: Name
    role: PartyRole
    part: Count
    duration_ms: Points
    bytes: Points
    expires_at: Timestamp | None


class RecordingFailedNotice(Answer, frozen=True, kw_only=True):
    """A recording can't be written or stored. Where it is ``tried_again``, ``recording.ready`` may still come."""

    recording_id: RecordingId
    call_id: CallId
    user_id: Name
    otomo_id: Name
    role: PartyRole
    part: Count
    error: Prose
    tried_again: bool


class TestNotice(Answer, frozen=True):
    """What an admin sends to see whether an endpoint gets it."""

    webhook_id: Name
