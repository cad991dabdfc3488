"""Statistics of transports, producers and consumers, in mediasoup's own names. What is not known is left out.

``timestamp`` is in milliseconds of the worker's monotonic clock, rates are in bits a second.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer
from schemas.types import Measure, Points, Port, Uuid
from worker_bridge.connectivity import DtlsState, IceState, Protocol
from worker_bridge.rtp import MediaKind
from worker_bridge.sctp import SctpState

Number = Points | UnsetType
"""A count, or a rate."""
Share = Annotated[float, Meta(ge=0)] | UnsetType


class TupleStats(Answer, frozen=True, kw_only=True):
    """The pair of addresses that ICE has settled on."""

    protocol: Protocol
    local_address: str
    local_port: Port
    remote_ip: str | None
    remote_port: Port | None


class TransportStats(Answer, frozen=True, kw_only=True):
    type: Literal["webrtc-transport"]
    timestamp: Points
    transport_id: Uuid
    ice_role: Literal["controlled", "controlling"] | UnsetType = UNSET
    ice_state: IceState | UnsetType = UNSET
    ice_selected_tuple: TupleStats | UnsetType = UNSET
    dtls_state: DtlsState | UnsetType = UNSET
    sctp_state: SctpState | UnsetType = UNSET
    bytes_received: Number = UNSET
    recv_bitrate: Number = UNSET
    bytes_sent: Number = UNSET
    send_bitrate: Number = UNSET
    rtp_bytes_received: Number = UNSET
    rtp_recv_bitrate: Number = UNSET
    rtp_bytes_sent: Number = UNSET
    rtp_send_bitrate: Number = UNSET
    rtx_bytes_received: Number = UNSET
    rtx_recv_bitrate: Number = UNSET
    rtx_bytes_sent: Number = UNSET
    rtx_send_bitrate: Number = UNSET
    probation_bytes_sent: Number = UNSET
    probation_send_bitrate: Number = UNSET
    available_outgoing_bitrate: Number = UNSET
    available_incoming_bitrate: Number = UNSET
    max_incoming_bitrate: Number = UNSET
    max_outgoing_bitrate: Number = UNSET
    min_outgoing_bitrate: Number = UNSET
    rtp_packet_loss_received: Share = UNSET
    rtp_packet_loss_sent: Share = UNSET


class StreamStats(Answer, frozen=True, kw_only=True):
    """One RTP stream. ``jitter`` is in RTP time units, ``fractionLost`` of 256, ``roundTripTime`` in milliseconds;
    ``score`` is 0 to 10."""

    type: Literal["inbound-rtp", "outbound-rtp"]
    timestamp: Points
    ssrc: Number = UNSET
    kind: MediaKind | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    packet_count: Number = UNSET
    byte_count: Number = UNSET
    bitrate: Number = UNSET
    bitrate_by_layer: dict[str, Points] | UnsetType = UNSET
    packets_lost: Number = UNSET
    fraction_lost: Number = UNSET
    jitter: Number = UNSET
    packets_discarded: Number = UNSET
    packets_retransmitted: Number = UNSET
    packets_repaired: Number = UNSET
    nack_count: Number = UNSET
    nack_packet_count: Number = UNSET
    pli_count: Number = UNSET
    fir_count: Number = UNSET
    rid: str | UnsetType = UNSET
    rtx_ssrc: Number = UNSET
    rtx_packets_discarded: Number = UNSET
    round_trip_time: Measure | UnsetType = UNSET
    score: Number = UNSET


class TransportStatistics(Answer, frozen=True):
    """One entry."""

    stats: tuple[TransportStats, ...]


class StreamStatistics(Answer, frozen=True):
    """One entry for each RTP stream of a producer; of a consumer, its own and then its producer's."""

    stats: tuple[StreamStats, ...]
