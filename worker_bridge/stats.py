"""Statistics and dumps in the shape that people read: flat, with lower-case enum values, nothing absent written.

The worker's own times are milliseconds of its monotonic clock, not of the day.
"""

from __future__ import annotations

from typing import Any

from worker_bridge.channel import Body
from worker_bridge.connectivity_fbs import tuple_from_fbs

Stats = dict[str, Any]

STREAM_TYPES = {"RecvStats": "inbound-rtp", "SendStats": "outbound-rtp"}


def stream_stats(answer: Body) -> list[Stats]:
    """One entry per RTP stream of a producer or consumer: packets, bytes, ``bitrate`` in bits per second, ``jitter`` in
    RTP time units (RFC 3550 §6.4.1), ``fraction_lost`` of 256, ``round_trip_time`` in milliseconds, score 0 to 10."""
    return [_stream(stats["data_type"], stats["data"]) for stats in answer["stats"]]


def packet_count(answer: Body) -> int:
    """Packets that a producer received so far, over all its streams. 0 before the first."""
    return sum(stats["data"]["packet_count"] for stats in answer["stats"])


def transport_stats(answer: Body, transport_type: str) -> list[Stats]:
    flat = {"type": transport_type, **answer.pop("base"), **answer}
    for name in ("ice_selected_tuple", "tuple", "rtcp_tuple"):
        if flat.get(name):
            flat[name] = tuple_to_stats(flat[name])
    return [_readable(flat)]


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
