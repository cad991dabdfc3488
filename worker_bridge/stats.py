"""Statistics and dumps in the shape that people read: flat, with lower-case enum values, nothing absent written.

The worker's own times are milliseconds of its monotonic clock, not of the day.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, cast

from worker_bridge.channel import Body
from worker_bridge.connectivity import DtlsState, IceState
from worker_bridge.connectivity_fbs import tuple_from_fbs
from worker_bridge.rtp import MediaKind
from worker_bridge.sctp import SctpState

Stats = dict[str, Any]


class TupleStats(TypedDict, total=False):
    """Where packets come from and go to. A remote end that is not known yet is None."""

    local_address: str
    local_port: int
    remote_ip: str | None
    remote_port: int | None
    protocol: Literal["udp", "tcp"]


class RtpStreamStats(TypedDict, total=False):
    """One RTP stream, as it comes (of a producer) or goes (of a consumer). ``bitrate_by_layer`` of what comes only."""

    type: Literal["inbound-rtp", "outbound-rtp"]
    timestamp: int
    ssrc: int
    kind: MediaKind
    mime_type: str
    packets_lost: int
    fraction_lost: int
    jitter: int
    packets_discarded: int
    packets_retransmitted: int
    packets_repaired: int
    nack_count: int
    nack_packet_count: int
    pli_count: int
    fir_count: int
    rid: str
    rtx_ssrc: int
    rtx_packets_discarded: int
    round_trip_time: float
    score: int
    packet_count: int
    byte_count: int
    bitrate: int
    bitrate_by_layer: dict[str, int]


class TransportStats(TypedDict, total=False):
    """A transport: bytes, and bitrates in bits per second. What is of ICE and DTLS, has a tuple, or is a limit stands
    only where there is one."""

    type: Literal["webrtc-transport", "plain-rtp-transport", "pipe-transport", "direct-transport"]
    transport_id: str
    timestamp: int
    sctp_state: SctpState
    bytes_received: int
    recv_bitrate: int
    bytes_sent: int
    send_bitrate: int
    rtp_bytes_received: int
    rtp_recv_bitrate: int
    rtp_bytes_sent: int
    rtp_send_bitrate: int
    rtx_bytes_received: int
    rtx_recv_bitrate: int
    rtx_bytes_sent: int
    rtx_send_bitrate: int
    probation_bytes_sent: int
    probation_send_bitrate: int
    available_outgoing_bitrate: int
    available_incoming_bitrate: int
    max_incoming_bitrate: int
    max_outgoing_bitrate: int
    min_outgoing_bitrate: int
    rtp_packet_loss_received: float
    rtp_packet_loss_sent: float
    ice_role: Literal["controlled", "controlling"]
    ice_state: IceState
    ice_selected_tuple: TupleStats
    dtls_state: DtlsState
    rtcp_mux: bool
    comedia: bool
    tuple: TupleStats
    rtcp_tuple: TupleStats


class DataProducerStats(TypedDict, total=False):
    """The messages of a data producer."""

    type: Literal["data-producer"]
    timestamp: int
    label: str
    protocol: str
    messages_received: int
    bytes_received: int


class DataConsumerStats(TypedDict, total=False):
    """The messages of a data consumer, and the bytes that wait."""

    type: Literal["data-consumer"]
    timestamp: int
    label: str
    protocol: str
    messages_sent: int
    bytes_sent: int
    buffered_amount: int


STREAM_TYPES = {"RecvStats": "inbound-rtp", "SendStats": "outbound-rtp"}


def stream_stats(answer: Body) -> list[RtpStreamStats]:
    """One entry per RTP stream of a producer or consumer: packets, bytes, ``bitrate`` in bits per second, ``jitter`` in
    RTP time units (RFC 3550 §6.4.1), ``fraction_lost`` of 256, ``round_trip_time`` in milliseconds, score 0 to 10."""
    return [cast(RtpStreamStats, _stream(stats["data_type"], stats["data"])) for stats in answer["stats"]]


def packet_count(answer: Body) -> int:
    """Packets that a producer received so far, over all its streams. 0 before the first."""
    return sum(stats["data"]["packet_count"] for stats in answer["stats"])


def transport_stats(answer: Body, transport_type: str) -> list[TransportStats]:
    flat = {"type": transport_type, **answer.pop("base"), **answer}
    for name in ("ice_selected_tuple", "tuple", "rtcp_tuple"):
        if flat.get(name):
            flat[name] = tuple_to_stats(flat[name])
    return [cast(TransportStats, _readable(flat))]


def tuple_to_stats(body: Body) -> Stats:
    value = tuple_from_fbs(body)
    return {
        "local_address": value.local_address,
        "local_port": value.local_port,
        "remote_ip": value.remote_ip,
        "remote_port": value.remote_port,
        "protocol": value.protocol,
    }


def _stream(stats_type: str, data: Body) -> Stats:
    flat = {"type": STREAM_TYPES.get(stats_type, stats_type), **data}
    flat.update(flat.pop("base")["data"])
    if "bitrate_by_layer" in flat:
        flat["bitrate_by_layer"] = {entry["layer"]: entry["bitrate"] for entry in flat["bitrate_by_layer"]}
    return _readable(flat)


def _readable(flat: Stats) -> Stats:
    return {
        key: value.lower() if isinstance(value, str) and value.isupper() and key in ENUM_KEYS else value
        for key, value in flat.items()
        if value is not None and value != ""
    }


ENUM_KEYS = {"kind", "ice_state", "ice_role", "dtls_state", "sctp_state", "protocol"}
