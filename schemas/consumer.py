"""Bodies of RTC-01 (what the router can do), RTC-05 and RTC-06, and of pausing, which consumers and producers share."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from schemas.base import Answer, Body
from schemas.types import CallId, Uuid
from worker_bridge.rtp import MediaKind, RtpCapabilities, RtpParameters


class Capabilities(Answer, frozen=True):
    """The RTP capabilities of every room's router."""

    rtp_capabilities: RtpCapabilities


class ConsumeRequest(Body, frozen=True):
    """Which producer a party wants to receive. Without ``rtp_capabilities``, the router's own are used."""

    call_id: CallId
    transport_id: Uuid
    producer_id: Uuid
    rtp_capabilities: RtpCapabilities | UnsetType = UNSET


class ConsumerCreated(Answer, frozen=True):
    """What mediasoup-client's ``consume`` needs, under ``consumerId`` instead of ``id``. The consumer is paused."""

    consumer_id: Uuid
    producer_id: Uuid
    kind: MediaKind
    rtp_parameters: RtpParameters
    producer_paused: bool


class Resumed(Answer, frozen=True):
    resumed: bool = True


class Paused(Answer, frozen=True):
    paused: bool = True
