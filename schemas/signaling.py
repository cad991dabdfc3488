"""WebSocket messages: the envelope, what clients command, what the server reports. Knows no socket.

Every message is ``{"type", "payload"}``. A command may carry ``requestId``, which its answer repeats; an event carries
``seq``. Two tables say which payload belongs to which type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from marshmallow import ValidationError

from schemas.base import Schema, dump
from schemas.call import (
    MAX_REASON,
    CallAck,
    CallAckSchema,
    CallRequest,
    CallRequestSchema,
    count,
    points,
    price_per_minute,
)
from schemas.fields import CallId, Choice, FreeObject, Name, StrictField, Text, Timestamp, Uuid, whole
from schemas.quality import PartyRole
from worker_bridge.rtp import MediaKind

CommandType = Literal["call_request", "call_accept", "call_reject", "call_cancel", "call_end", "ping"]
EventType = Literal[
    "incoming_call", "call_accepted", "call_rejected", "call_cancelled",
    "producer_added", "producer_paused", "producer_resumed", "producer_removed",
    "call_connected", "call_tick", "wallet_update", "call_end", "otomo_status",
    "node_draining",
]  # fmt: skip
PauseReason = Literal["flood"]
OtomoStatusWord = Literal["online", "busy", "offline"]
TickStatus = Literal["ok", "low_balance", "ended"]
WalletReason = Literal["call_tick", "adjustment"]
RequestId = str | int

MAX_SEQ: Final = 2**53 - 1  # what JavaScript counts exactly


class RequestIdField(StrictField[RequestId]):
    """What a client numbers its commands with: up to 128 printable characters, or a whole number."""

    _text: Final = Name()

    def accept(self, value: Any) -> RequestId:
        number = whole(value)
        if number is not None and -MAX_SEQ <= number <= MAX_SEQ:
            return number
        if type(value) is str:
            return self._text.accept(value)
        raise ValidationError("must be a string or a whole number")

    def describe(self) -> dict[str, Any]:
        return {"anyOf": [self._text.describe(), {"type": "integer"}]}


# Commands


@dataclass(frozen=True, slots=True)
class Envelope:
    """A client's message before anybody looked into its payload."""

    type: str
    payload: dict[str, Any] = field(default_factory=dict)
    request_id: RequestId | None = None


@dataclass(frozen=True, slots=True)
class CallCommand:
    """Accept, reject, cancel or end a call."""

    call_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a ``pong``; the connection's own pings (RFC 6455 §5.5.2) are not this."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Payload of ``error``. ``context`` says what was refused: the command's type, the problems of its payload."""

    code: str
    message: str
    context: dict[str, Any]


class EnvelopeSchema(Schema[Envelope]):
    type = Text(at_most=64)
    payload = FreeObject(load_default=dict)
    request_id = RequestIdField(load_default=None)


class CallCommandSchema(Schema[CallCommand]):
    call_id = CallId()
    reason = Text(at_least=0, at_most=MAX_REASON, load_default=None)


class PingSchema(Schema[Ping]):
    """No fields."""


class FailureSchema(Schema[Failure]):
    code = Text(at_most=64)
    message = Text(at_most=1000)
    context = FreeObject()


COMMANDS: Final[Mapping[str, type[Schema[Any]]]] = MappingProxyType(
    {
        "call_request": CallRequestSchema,
        "call_accept": CallCommandSchema,
        "call_reject": CallCommandSchema,
        "call_cancel": CallCommandSchema,
        "call_end": CallCommandSchema,
        "ping": PingSchema,
    }
)
"""The payload of every command; ``schemas.base.load`` it from the envelope's."""

Command = CallRequest | CallCommand | Ping


# Events


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """To the otomo: somebody calls, and rings until ``expires_at``."""

    call_id: str
    user_id: str
    created_at: datetime
    expires_at: datetime
    price_per_minute: int


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """To the other party: accepted, rejected or cancelled."""

    call_id: str
    user_id: str
    otomo_id: str
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ProducerEvent:
    """To the other party: ``user_id`` sends, pauses, resumes or stops sending. What the node did has a ``reason``, and
    is told to both."""

    call_id: str
    producer_id: str
    user_id: str
    role: PartyRole
    kind: MediaKind
    reason: PauseReason | None = None


@dataclass(frozen=True, slots=True)
class CallConnected:
    """To both: the worker has received the first RTP packet of the call, at ``connected_at``."""

    call_id: str
    user_id: str
    otomo_id: str
    connected_at: datetime
    method: Literal["sfu_rtp_detected"] = "sfu_rtp_detected"


@dataclass(frozen=True, slots=True)
class CallTick:
    """To both, after a unit was charged. ``user_balance`` is told to the user only, and left out otherwise."""

    call_id: str
    tick_number: int
    charged_points: int
    total_charged_points: int
    duration_seconds: int
    timestamp: datetime
    status: TickStatus
    user_balance: int | None = None


@dataclass(frozen=True, slots=True)
class WalletUpdate:
    balance: int
    reason: WalletReason
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class CallEnded:
    call_id: str
    user_id: str
    otomo_id: str
    ended_at: datetime
    reason: str
    duration_seconds: int
    total_charged_points: int


@dataclass(frozen=True, slots=True)
class OtomoStatus:
    otomo_id: str
    status: OtomoStatusWord
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class NodeDraining:
    """To both: the node will end the call at ``deadline_at``; null takes that back."""

    call_id: str
    deadline_at: datetime | None


class IncomingCallSchema(Schema[IncomingCall]):
    call_id = CallId()
    user_id = Name()
    created_at = Timestamp()
    expires_at = Timestamp()
    price_per_minute = price_per_minute()


class CallAnsweredSchema(Schema[CallAnswered]):
    call_id = CallId()
    user_id = Name()
    otomo_id = Name()
    at = Timestamp()
    reason = Text(at_least=0, at_most=MAX_REASON, load_default=None)


class ProducerEventSchema(Schema[ProducerEvent]):
    call_id = CallId()
    producer_id = Uuid()
    user_id = Name()
    role = Choice(*get_args(PartyRole))
    kind = Choice(*get_args(MediaKind))
    reason = Choice(*get_args(PauseReason), load_default=None)


class CallConnectedSchema(Schema[CallConnected]):
    call_id = CallId()
    user_id = Name()
    otomo_id = Name()
    connected_at = Timestamp()
    method = Choice("sfu_rtp_detected")


class CallTickSchema(Schema[CallTick]):
    call_id = CallId()
    tick_number = count()
    charged_points = points()
    total_charged_points = points()
    duration_seconds = count()
    timestamp = Timestamp()
    status = Choice(*get_args(TickStatus))
    user_balance = points(load_default=None)


class WalletUpdateSchema(Schema[WalletUpdate]):
    balance = points()
    reason = Choice(*get_args(WalletReason))
    timestamp = Timestamp()


class CallEndedSchema(Schema[CallEnded]):
    call_id = CallId()
    user_id = Name()
    otomo_id = Name()
    ended_at = Timestamp()
    reason = Text(at_most=MAX_REASON)
    duration_seconds = count()
    total_charged_points = points()


class OtomoStatusSchema(Schema[OtomoStatus]):
    otomo_id = Name()
    status = Choice(*get_args(OtomoStatusWord))
    timestamp = Timestamp()


class NodeDrainingSchema(Schema[NodeDraining]):
    call_id = CallId()
    deadline_at = Timestamp(allow_none=True)


EVENTS: Final[Mapping[EventType, type[Schema[Any]]]] = MappingProxyType(
    {
        "incoming_call": IncomingCallSchema,
        "call_accepted": CallAnsweredSchema,
        "call_rejected": CallAnsweredSchema,
        "call_cancelled": CallAnsweredSchema,
        "producer_added": ProducerEventSchema,
        "producer_paused": ProducerEventSchema,
        "producer_resumed": ProducerEventSchema,
        "producer_removed": ProducerEventSchema,
        "call_connected": CallConnectedSchema,
        "call_tick": CallTickSchema,
        "wallet_update": WalletUpdateSchema,
        "call_end": CallEndedSchema,
        "otomo_status": OtomoStatusSchema,
        "node_draining": NodeDrainingSchema,
    }
)
"""The payload of every event."""

Event = (
    IncomingCall
    | CallAnswered
    | ProducerEvent
    | CallConnected
    | CallTick
    | WalletUpdate
    | CallEnded
    | OtomoStatus
    | NodeDraining
)


def event_message(type_: EventType, payload: Event, seq: int) -> dict[str, Any]:
    """A server event as it goes out. Raises TypeError for a payload of another event."""
    return {"type": type_, "payload": event_payload(type_, payload), "seq": seq}


def event_payload(type_: EventType, payload: Event) -> dict[str, Any]:
    """An event's payload as JSON-able dict, to be stored before it is sent."""
    schema = EVENTS[type_]
    if type(payload) is not schema.value_type:
        raise TypeError(f"{type_} has a {schema.value_type.__name__}, not a {type(payload).__name__}")
    return dump(schema, payload)


def ack_message(command: str, ack: CallAck, request_id: RequestId | None) -> dict[str, Any]:
    """The answer to a command that was done: ``call_end`` is answered with ``call_end_ack``."""
    return _answer(f"{command}_ack", dump(CallAckSchema, ack), request_id)


def pong_message(request_id: RequestId | None) -> dict[str, Any]:
    return _answer("pong", {}, request_id)


def error_message(failure: Failure, request_id: RequestId | None) -> dict[str, Any]:
    return _answer("error", dump(FailureSchema, failure), request_id)


def _answer(type_: str, payload: dict[str, Any], request_id: RequestId | None) -> dict[str, Any]:
    message: dict[str, Any] = {"type": type_, "payload": payload}
    return message if request_id is None else message | {"requestId": request_id}
