"""Bodies about live calls, for admins: the list, and one call with everything that its worker says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from schemas.base import ObjectOf, Schema
from schemas.call import PAGE_LIMIT, CallBody, CallBodySchema, CallDetail, CallDetailSchema, count, points
from schemas.fields import Choice, Flag, ListOf, Name, Number, Text, Timestamp, Uuid
from schemas.own_media import MAX_OBJECTS, Direction, DtlsState, IceState, MediaKind
from schemas.quality import MAX_FLAGS, FlagLine, FlagLineSchema, PartyRole, Protocol


@dataclass(frozen=True, slots=True)
class LiveCallLine(CallBody):
    """A live call. ``worker`` is null before it is matched, ``mos`` until something was measured; ``flags`` are those
    that stand."""

    worker: int | None
    talk_seconds: int
    flags: tuple[FlagLine, ...]
    mos: float | None


@dataclass(frozen=True, slots=True)
class LiveCallList:
    calls: tuple[LiveCallLine, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SelectedTuple:
    """The pair of addresses that ICE has settled on."""

    protocol: Protocol
    local_address: str
    local_port: int
    remote_address: str | None
    remote_port: int | None


@dataclass(frozen=True, slots=True)
class LiveTransport:
    transport_id: str
    direction: Direction
    ice_state: IceState
    dtls_state: DtlsState
    selected_tuple: SelectedTuple | None
    bytes_received: int | None
    bytes_sent: int | None


@dataclass(frozen=True, slots=True)
class LiveProducer:
    """What a party sends, as it arrives. ``level`` is in dBov, -127 (no sound) to 0, on average of the last 5 s."""

    producer_id: str
    kind: MediaKind
    paused: bool
    packets: int | None
    bytes: int | None
    bitrate: int | None
    packets_lost: int | None
    loss_percent: float | None
    jitter_ms: float | None
    round_trip_ms: float | None
    score: int | None
    last_rtp_at: datetime | None
    level: int | None


@dataclass(frozen=True, slots=True)
class LiveConsumer:
    """What a party is sent, and what of it the party says that it misses."""

    consumer_id: str
    producer_id: str
    paused: bool
    packets: int | None
    bitrate: int | None
    packets_lost: int | None
    loss_percent: float | None
    jitter_ms: float | None
    round_trip_ms: float | None
    score: int | None


@dataclass(frozen=True, slots=True)
class LiveParty:
    """One of the two. ``sockets`` is how many WebSockets it has open."""

    user_id: str
    role: PartyRole
    sockets: int
    last_rtp_at: datetime | None
    transports: tuple[LiveTransport, ...]
    producers: tuple[LiveProducer, ...]
    consumers: tuple[LiveConsumer, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """Now. What the worker did not say within a second is null."""

    worker: int | None
    parties: tuple[LiveParty, ...]


@dataclass(frozen=True, slots=True)
class LiveCallDetail(CallDetail):
    """A call as its parties see it, with what goes on now; ``live`` is null once it has ended."""

    live: Live | None = None


class LiveCallLineSchema(CallBodySchema, Schema[LiveCallLine]):
    worker = count(allow_none=True)
    talk_seconds = count()
    flags = ListOf(ObjectOf(FlagLineSchema), at_most=MAX_FLAGS)
    mos = Number(at_least=1.0, allow_none=True)


class LiveCallListSchema(Schema[LiveCallList]):
    calls = ListOf(ObjectOf(LiveCallLineSchema), at_most=PAGE_LIMIT)
    next_cursor = Text(at_most=512, allow_none=True)


class SelectedTupleSchema(Schema[SelectedTuple]):
    protocol = Choice(*get_args(Protocol))
    local_address = Text(at_most=255)
    local_port = count()
    remote_address = Text(at_most=255, allow_none=True)
    remote_port = count(allow_none=True)


class LiveTransportSchema(Schema[LiveTransport]):
    transport_id = Uuid()
    direction = Choice(*get_args(Direction))
    ice_state = Choice(*get_args(IceState))
    dtls_state = Choice(*get_args(DtlsState))
    selected_tuple = ObjectOf(SelectedTupleSchema, allow_none=True)
    bytes_received = points(allow_none=True)
    bytes_sent = points(allow_none=True)


class LiveProducerSchema(Schema[LiveProducer]):
    producer_id = Uuid()
    kind = Choice(*get_args(MediaKind))
    paused = Flag()
    packets = points(allow_none=True)
    bytes = points(allow_none=True)
    bitrate = points(allow_none=True)
    packets_lost = points(allow_none=True)
    loss_percent = Number(allow_none=True)
    jitter_ms = Number(allow_none=True)
    round_trip_ms = Number(allow_none=True)
    score = count(allow_none=True)
    last_rtp_at = Timestamp(allow_none=True)
    level = Number(at_least=-127.0, allow_none=True)


class LiveConsumerSchema(Schema[LiveConsumer]):
    consumer_id = Uuid()
    producer_id = Uuid()
    paused = Flag()
    packets = points(allow_none=True)
    bitrate = points(allow_none=True)
    packets_lost = points(allow_none=True)
    loss_percent = Number(allow_none=True)
    jitter_ms = Number(allow_none=True)
    round_trip_ms = Number(allow_none=True)
    score = count(allow_none=True)


class LivePartySchema(Schema[LiveParty]):
    user_id = Name()
    role = Choice(*get_args(PartyRole))
    sockets = count()
    last_rtp_at = Timestamp(allow_none=True)
    transports = ListOf(ObjectOf(LiveTransportSchema), at_most=MAX_OBJECTS)
    producers = ListOf(ObjectOf(LiveProducerSchema), at_most=MAX_OBJECTS)
    consumers = ListOf(ObjectOf(LiveConsumerSchema), at_most=MAX_OBJECTS)


class LiveSchema(Schema[Live]):
    worker = count(allow_none=True)
    parties = ListOf(ObjectOf(LivePartySchema), at_most=2)


class LiveCallDetailSchema(CallDetailSchema, Schema[LiveCallDetail]):
    live = ObjectOf(LiveSchema, allow_none=True)
