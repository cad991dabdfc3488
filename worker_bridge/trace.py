"""Traces: what the worker can report of single packets and of bandwidth, how that is asked for, and how it reads."""

from __future__ import annotations

from typing import Literal, TypedDict, cast, get_args

import msgspec

from worker_bridge.channel import Body
from worker_bridge.checks import show
from worker_bridge.errors import InvalidParameters

ConsumerTrace = Literal["rtp", "keyframe", "nack", "pli", "fir"]
ProducerTrace = Literal[ConsumerTrace, "sr"]
TransportTrace = Literal["probation", "bwe"]
PRODUCER_TRACES: frozenset[str] = frozenset(get_args(ProducerTrace))
CONSUMER_TRACES: frozenset[str] = frozenset(get_args(ConsumerTrace))
TRANSPORT_TRACES: frozenset[str] = frozenset(get_args(TransportTrace))


class PacketTrace(TypedDict, total=False):
    """An RTP packet, without its payload; sizes in bytes."""

    payload_type: int
    sequence_number: int
    timestamp: int
    marker: bool
    ssrc: int
    is_key_frame: bool
    size: int
    payload_size: int
    spatial_layer: int
    temporal_layer: int
    mid: str
    rid: str
    rrid: str
    wide_sequence_number: int


class TraceInfo(TypedDict, total=False):
    """What there is to say, by type: ``rtp_packet`` and ``is_rtx`` of ``rtp`` and ``keyframe`` (which replaces ``rtp``
    for its packet); ``ssrc`` of ``pli`` and ``fir``; a sender report (RFC 3550 §6.4.1) of ``sr``; ``bwe_type`` and
    bitrates, in bits per second, of ``bwe``; nothing of ``nack`` and ``probation``."""

    rtp_packet: PacketTrace
    is_rtx: bool
    ssrc: int
    ntp_sec: int
    ntp_frac: int
    rtp_ts: int
    packet_count: int
    octet_count: int
    bwe_type: Literal["transport-cc", "remb"]
    desired_bitrate: int
    effective_desired_bitrate: int
    min_bitrate: int
    max_bitrate: int
    start_bitrate: int
    max_padding_bitrate: int
    available_bitrate: int


class Trace(msgspec.Struct, frozen=True):
    """One thing that was seen. ``timestamp`` is milliseconds of the worker's monotonic clock."""

    type: ProducerTrace | TransportTrace
    timestamp: int
    direction: Literal["in", "out"]
    info: TraceInfo = {}


def trace_types(types: tuple[str, ...], known: frozenset[str]) -> list[str]:
    """The schema's names of trace types. An unknown one is refused: the worker would trace something else."""
    require_traces(types, known)
    return [name.upper() for name in types]


def require_traces(types: tuple[str, ...], known: frozenset[str]) -> None:
    """Raises InvalidParameters where one of them is none."""
    for name in types:
        if not isinstance(name, str) or name not in known:
            raise InvalidParameters(f"types: {show(name)} is none of {', '.join(sorted(known))}")


def trace_from_fbs(body: Body) -> Trace:
    info = dict(body["info"] or {})
    if "rtp_packet" in info:
        info["rtp_packet"] = {key: value for key, value in info["rtp_packet"].items() if value not in (None, "")}
    if "bwe_type" in info:
        info["bwe_type"] = info["bwe_type"].lower().replace("_", "-")
    direction: Literal["in", "out"] = "in" if body["direction"] == "DIRECTION_IN" else "out"
    return Trace(body["type"].lower(), body["timestamp"], direction, cast(TraceInfo, info))
