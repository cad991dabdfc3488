"""What a party has in the room of a live call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from schemas.base import ObjectOf, Schema
from schemas.fields import Choice, Flag, ListOf, Uuid

Direction = Literal["send", "recv"]
IceState = Literal["new", "connected", "completed", "disconnected", "closed"]
DtlsState = Literal["new", "connecting", "connected", "failed", "closed"]
MediaKind = Literal["audio", "video"]

MAX_OBJECTS = 10_000  # transports, producers or consumers of one party


@dataclass(frozen=True, slots=True)
class OwnTransport:
    transport_id: str
    direction: Direction
    ice_state: IceState
    dtls_state: DtlsState


@dataclass(frozen=True, slots=True)
class OwnProducer:
    producer_id: str
    transport_id: str
    kind: MediaKind
    paused: bool


@dataclass(frozen=True, slots=True)
class OwnConsumer:
    consumer_id: str
    producer_id: str
    transport_id: str
    paused: bool


@dataclass(frozen=True, slots=True)
class OwnMedia:
    """What the caller has in the room of a live call, by which a client that lost an answer finds it again."""

    transports: tuple[OwnTransport, ...]
    producers: tuple[OwnProducer, ...]
    consumers: tuple[OwnConsumer, ...]


class OwnTransportSchema(Schema[OwnTransport]):
    transport_id = Uuid()
    direction = Choice(*get_args(Direction))
    ice_state = Choice(*get_args(IceState))
    dtls_state = Choice(*get_args(DtlsState))


class OwnProducerSchema(Schema[OwnProducer]):
    producer_id = Uuid()
    transport_id = Uuid()
    kind = Choice(*get_args(MediaKind))
    paused = Flag()


class OwnConsumerSchema(Schema[OwnConsumer]):
    consumer_id = Uuid()
    producer_id = Uuid()
    transport_id = Uuid()
    paused = Flag()


class OwnMediaSchema(Schema[OwnMedia]):
    transports = ListOf(ObjectOf(OwnTransportSchema), at_most=MAX_OBJECTS)
    producers = ListOf(ObjectOf(OwnProducerSchema), at_most=MAX_OBJECTS)
    consumers = ListOf(ObjectOf(OwnConsumerSchema), at_most=MAX_OBJECTS)
