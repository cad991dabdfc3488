"""WebSocket messages: the envelope, clients' commands, their answers, and events. Knows no socket.

Every message is ``{"type", "payload"}``. A command may carry ``requestId``, which its answer repeats; an event carries
``seq``. Two tables say which payload belongs to which type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from schemas.base import Answer, Body
from schemas.call import CallRequest, InterruptionReason, MoveReason
from schemas.people import OtomoList, OtomoStatusWord, StatusRequest
from schemas.problem import Problem
from schemas.supervision import SupervisionEnd, SupervisionMode
from schemas.tariff import EndingReason
from schemas.types import (
    MAX_SAFE,
    CallId,
    Count,
    Name,
    PartyRole,
    Points,
    Price,
    Prose,
    Reason,
    Seq,
    Timestamp,
    Uuid,
    Word,
)
from worker_bridge.rtp import MediaKind

CommandType = Literal["call_request", "call_accept", "call_reject", "call_cancel", "call_end", "status_set", "ping"]
AnswerType = Literal["call_accepted", "call_rejected", "call_cancelled"]
RecordingChange = Literal["recording_started", "recording_paused", "recording_stopped"]
ProducerChange = Literal["producer_added", "producer_paused", "producer_resumed", "producer_removed"]
EventType = Literal[
    AnswerType, ProducerChange, RecordingChange,
    "incoming_call", "call_connected", "call_interrupted", "call_resumed", "media_moved",
    "supervised", "supervision", "supervision_ended",
    "call_ending", "call_silent", "call_tick", "wallet_update", "call_end",
    "otomo_list", "otomo_status", "node_draining",
]  # fmt: skip
PauseReason = Literal["flood", "hold"]
"""Why the node paused a producer, where its party has not: it floods, or the call is on hold, and nobody hears it."""
ProducerSource = Literal["announcement", "music", "supervisor"]
"""What a producer of no party's carries."""
WalletReason = Literal["call_tick", "adjustment", "refund", "expiry"]
RequestId = Name | Annotated[int, Meta(ge=-MAX_SAFE, le=MAX_SAFE)]
"""A client's own number for a command: up to 128 printable characters, or a whole number."""

MAX_SEQ: Final = MAX_SAFE


class TickStatus(StrEnum):
    """What a wallet has left after a unit: enough for another one, less, or nothing."""

    OK = "ok"
    LOW_BALANCE = "low_balance"
    ENDED = "ended"


# Commands


class Envelope(Body, frozen=True):
    """A client's message, whose payload is not checked yet."""

    type: Word
    payload: dict[str, Any] = {}  # noqa: RUF012 -- msgspec makes each its own
    request_id: RequestId | UnsetType = UNSET


class RefusedMessage(msgspec.Struct, frozen=True, rename="camel"):
    """What is answered about a message that was refused: its parts, of which each may be anything."""

    type: Any = None
    request_id: Any = None
    payload: Any = None


class AboutCall(msgspec.Struct, frozen=True, rename="camel"):
    """A payload, of which only the call matters."""

    call_id: CallId


class CallCommand(Body, frozen=True):
    """Accept, reject, cancel or end a call."""

    call_id: CallId
    reason: Reason | UnsetType = UNSET


class Ping(Body, frozen=True):
    """Asks for a ``pong``. Not the protocol's own ping (RFC 6455 §5.5.2)."""


class Pong(Answer, frozen=True):
    """Answers a ``ping``."""


class FailureContext(Answer, frozen=True, kw_only=True):
    """What was refused, as far as that is known: the command's type and call; what is wrong with it, or when to try it
    again. ``error_id`` finds an internal error in the server's log."""

    type: Word | UnsetType = UNSET
    call_id: CallId | UnsetType = UNSET
    details: tuple[Problem, ...] | UnsetType = UNSET
    retry_after_seconds: Count | UnsetType = UNSET
    error_id: Word | UnsetType = UNSET


class Failure(Answer, frozen=True):
    """Payload of ``error``."""

    code: Word
    message: Prose
    context: FailureContext


class EventMessage(Answer, frozen=True):
    """An event's message. ``payload`` is JSON text already; what is no stored event has no ``seq``."""

    type: Word
    payload: Raw
    seq: Seq | UnsetType = UNSET


class Reply(Answer, frozen=True):
    """The answer to a command: ``call_end`` is answered with ``call_end_ack``, or with ``error``."""

    type: Word
    payload: Answer
    request_id: RequestId | UnsetType = UNSET


COMMANDS: Final[Mapping[str, type[Body]]] = MappingProxyType(
    {
        "call_request": CallRequest,
        "call_accept": CallCommand,
        "call_reject": CallCommand,
        "call_cancel": CallCommand,
        "call_end": CallCommand,
        "status_set": StatusRequest,
        "ping": Ping,
    }
)
"""The payload of every command, to be loaded from the envelope's by ``schemas.base.load``."""


# Events


class IncomingCall(Answer, frozen=True, kw_only=True):
    """To the otomo: somebody calls, and rings until ``expires_at``."""

    call_id: CallId
    user_id: Name
    created_at: Timestamp
    expires_at: Timestamp
    price_per_minute: Price


class CallAnswered(Answer, frozen=True, kw_only=True):
    """To the other party: accepted, rejected or cancelled."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    at: Timestamp
    reason: Reason | UnsetType = UNSET


class ProducerEvent(Answer, frozen=True, kw_only=True):
    """To the other party: ``user_id`` begins to send, pauses, resumes or stops. What the node did has a ``reason``; of
    a flood, both are told. What neither of them sends has a ``source`` instead of a ``user_id`` and a ``role``, and is
    told to whoever may hear it."""

    call_id: CallId
    producer_id: Uuid
    user_id: Name | None
    role: PartyRole | None
    kind: MediaKind
    media_epoch: Count
    reason: PauseReason | UnsetType = UNSET
    source: ProducerSource | UnsetType = UNSET


class CallConnected(Answer, frozen=True, kw_only=True):
    """To both: the worker has received the first RTP packet of the call, at ``connected_at``."""

    call_id: CallId
    user_id: Name
    otomo_id: Name
    connected_at: Timestamp
    method: Literal["sfu_rtp_detected"] = "sfu_rtp_detected"


class CallInterrupted(Answer, frozen=True, kw_only=True):
    """To both: the clock stands since ``since``, because one is not there, or, where ``user_id`` and ``role`` are null,
    because the room is lost. Unless both are there again by ``until``, the call ends."""

    call_id: CallId
    user_id: Name | None
    role: PartyRole | None
    reason: InterruptionReason
    since: Timestamp
    until: Timestamp


class CallResumed(Answer, frozen=True, kw_only=True):
    """To both: both are there again, after so many seconds that were not talked."""

    call_id: CallId
    interrupted_seconds: Count


class MediaMoved(Answer, frozen=True, kw_only=True):
    """To both: the call has another room, with this number, in which each has to make its transports, its producer and
    its consumers anew. The old room forwards until ``old_media_until``; null where it is gone."""

    call_id: CallId
    media_epoch: Count
    reason: MoveReason
    old_media_until: Timestamp | None


class CallEnding(Answer, frozen=True, kw_only=True):
    """To both: the call will end by itself in so many seconds of talk, which is ``at`` that moment unless it is
    interrupted. With ``points_needed``, which the user alone is told, it would go on for a unit more."""

    call_id: CallId
    reason: EndingReason
    seconds_left: Count
    at: Timestamp
    points_needed: Points | UnsetType = UNSET


class CallSilent(Answer, frozen=True, kw_only=True):
    """To both: neither has spoken for so many seconds. Unless one of them does, the call ends at ``ends_at``; null
    where it does not end for that."""

    call_id: CallId
    at: Timestamp
    silent_seconds: Count
    ends_at: Timestamp | None


class CallTick(Answer, frozen=True, kw_only=True):
    """To both, after a unit was charged. ``user_balance`` and ``remaining_seconds``, the talk until the points or the
    longest duration end the call, are told to the user only, and left out otherwise."""

    call_id: CallId
    tick_number: Count
    charged_points: Points
    total_charged_points: Points
    duration_seconds: Count
    timestamp: Timestamp
    status: TickStatus
    user_balance: Points | UnsetType | None = UNSET
    remaining_seconds: Count | UnsetType = UNSET


class WalletUpdate(Answer, frozen=True, kw_only=True):
    balance: Points
    reason: WalletReason
    timestamp: Timestamp


class CallEnded(Answer, frozen=True, kw_only=True):
    call_id: CallId
    user_id: Name
    otomo_id: Name
    ended_at: Timestamp
    reason: Reason
    duration_seconds: Count
    total_charged_points: Points


class OtomoStatus(Answer, frozen=True, kw_only=True):
    otomo_id: Name
    status: OtomoStatusWord
    timestamp: Timestamp


class Supervised(Answer, frozen=True, kw_only=True):
    """To both: an admin listens in the call, and may speak; or none does any more."""

    call_id: CallId
    at: Timestamp
    supervised: bool


class SupervisionState(Answer, frozen=True, kw_only=True):
    """To the admin: how they supervise a call from now on, and the number of its room, in which they have to make their
    transports where it is another one."""

    call_id: CallId
    supervision_id: Name
    mode: SupervisionMode
    to: PartyRole | None
    media_epoch: Count


class SupervisionOver(Answer, frozen=True, kw_only=True):
    """To the admin: they do not supervise the call any more."""

    call_id: CallId
    supervision_id: Name
    reason: SupervisionEnd


class RecordingChanged(Answer, frozen=True, kw_only=True):
    """To both: what they say is recorded from ``at`` on, or is not for now, or not any more."""

    call_id: CallId
    at: Timestamp


class NodeDraining(Answer, frozen=True, kw_only=True):
    """To both: the node will end the call at ``deadline_at``; null takes that back."""

    call_id: CallId
    deadline_at: Timestamp | None


EVENTS: Final[Mapping[EventType, type[Answer]]] = MappingProxyType(
    {
        "incoming_call": IncomingCall,
        "call_accepted": CallAnswered,
        "call_rejected": CallAnswered,
        "call_cancelled": CallAnswered,
        "producer_added": ProducerEvent,
        "producer_paused": ProducerEvent,
        "producer_resumed": ProducerEvent,
        "producer_removed": ProducerEvent,
        "call_connected": CallConnected,
        "call_interrupted": CallInterrupted,
        "call_resumed": CallResumed,
        "media_moved": MediaMoved,
        "supervised": Supervised,
        "supervision": SupervisionState,
        "supervision_ended": SupervisionOver,
        "call_ending": CallEnding,
        "call_silent": CallSilent,
        "call_tick": CallTick,
        "wallet_update": WalletUpdate,
        "call_end": CallEnded,
        "otomo_list": OtomoList,
        "otomo_status": OtomoStatus,
        "node_draining": NodeDraining,
        "recording_started": RecordingChanged,
        "recording_paused": RecordingChanged,
        "recording_stopped": RecordingChanged,
    }
)
"""The payload of every event."""

UNNUMBERED: Final[frozenset[EventType]] = frozenset({"otomo_list"})
"""Events without ``seq``: they are made for one socket, and never replayed."""

TYPE_OF: Final[Mapping[type[Answer], EventType]] = MappingProxyType(
    {payload: type_ for type_, payload in EVENTS.items() if Counter(EVENTS.values())[payload] == 1}
)
"""The type of each event whose payload belongs to it alone."""

EventPayload = (
    IncomingCall
    | CallAnswered
    | ProducerEvent
    | CallConnected
    | CallInterrupted
    | CallResumed
    | MediaMoved
    | CallEnding
    | CallSilent
    | CallTick
    | WalletUpdate
    | CallEnded
    | OtomoStatus
    | NodeDraining
    | Supervised
    | SupervisionState
    | SupervisionOver
    | RecordingChanged
)
