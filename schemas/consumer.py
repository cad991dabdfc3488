"""Bodies of RTC-01 (what the router can do), RTC-05 and RTC-06, and of pausing, which consumers and producers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from schemas.base import ObjectOf, Schema
from schemas.fields import CallId, Choice, Flag, Uuid
from schemas.rtp import RtpCapabilitiesSchema, RtpParametersSchema
from worker_bridge.rtp import MediaKind, RtpCapabilities, RtpParameters


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What every room's router can route."""

    rtp_capabilities: RtpCapabilities


@dataclass(frozen=True, slots=True)
class ConsumeRequest:
    """Which producer a party wants to receive. Without ``rtp_capabilities`` the router's own are meant."""

    call_id: str
    transport_id: str
    producer_id: str
    rtp_capabilities: RtpCapabilities | None = None


@dataclass(frozen=True, slots=True)
class ConsumerCreated:
    """What mediasoup-client's ``consume`` needs, under ``consumerId`` instead of ``id``. The consumer is paused."""

    consumer_id: str
    producer_id: str
    kind: MediaKind
    rtp_parameters: RtpParameters
    producer_paused: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    resumed: bool = True


@dataclass(frozen=True, slots=True)
class Paused:
    paused: bool = True


class CapabilitiesSchema(Schema[Capabilities]):
    rtp_capabilities = ObjectOf(RtpCapabilitiesSchema)


class ConsumeRequestSchema(Schema[ConsumeRequest]):
    call_id = CallId()
    transport_id = Uuid()
    producer_id = Uuid()
    rtp_capabilities = ObjectOf(RtpCapabilitiesSchema, remember=True, load_default=None)


class ConsumerCreatedSchema(Schema[ConsumerCreated]):
    consumer_id = Uuid()
    producer_id = Uuid()
    kind = Choice(*get_args(MediaKind))
    rtp_parameters = ObjectOf(RtpParametersSchema)
    producer_paused = Flag()


class ResumedSchema(Schema[Resumed]):
    resumed = Flag()


class PausedSchema(Schema[Paused]):
    paused = Flag()
