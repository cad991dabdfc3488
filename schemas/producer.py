"""Bodies of RTC-04 and of the list of a room's producers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from schemas.base import ObjectOf, Schema
from schemas.fields import CallId, Choice, Flag, ListOf, Name, Uuid
from schemas.quality import PartyRole
from schemas.rtp import RtpParametersSchema
from worker_bridge.rtp import MediaKind, RtpParameters


@dataclass(frozen=True, slots=True)
class ProduceRequest:
    """What a party starts to send. Whether the node takes ``kind`` is the room's question."""

    call_id: str
    transport_id: str
    kind: MediaKind
    rtp_parameters: RtpParameters


@dataclass(frozen=True, slots=True)
class ProducerCreated:
    producer_id: str


@dataclass(frozen=True, slots=True)
class ListedProducer:
    producer_id: str
    user_id: str
    role: PartyRole
    kind: MediaKind
    paused: bool


@dataclass(frozen=True, slots=True)
class ProducerList:
    producers: tuple[ListedProducer, ...]


class ProduceRequestSchema(Schema[ProduceRequest]):
    call_id = CallId()
    transport_id = Uuid()
    kind = Choice(*get_args(MediaKind))
    rtp_parameters = ObjectOf(RtpParametersSchema)


class ProducerCreatedSchema(Schema[ProducerCreated]):
    producer_id = Uuid()


class ListedProducerSchema(Schema[ListedProducer]):
    producer_id = Uuid()
    user_id = Name()
    role = Choice(*get_args(PartyRole))
    kind = Choice(*get_args(MediaKind))
    paused = Flag()


class ProducerListSchema(Schema[ProducerList]):
    producers = ListOf(ObjectOf(ListedProducerSchema), at_most=1024)
