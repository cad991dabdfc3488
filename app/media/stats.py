"""A worker's statistics of one audio stream, as numbers that can be added and compared."""

from __future__ import annotations

from typing import Literal, NamedTuple

from worker_bridge.channel import Body

StreamKind = Literal["RecvStats", "SendStats"]
CLOCK_PER_MS = 48  # RTP time units; Opus has a clock of 48 kHz (RFC 7587 §4.1)


class StreamStats(NamedTuple):
    """``packets`` and ``lost`` count from the stream's beginning; ``lost`` falls when a late packet arrives after all.

    ``round_trip_ms`` is to the party and back, None until its first report, and always None for a producer.
    """

    packets: int
    lost: int
    jitter_ms: float
    round_trip_ms: float | None


def stream_stats_of(answer: Body, stream: StreamKind) -> StreamStats | None:
    """What was received of a producer, or sent for a consumer, whose answer has both. None where nothing was yet, and
    for video."""
    packets = lost = jitter = 0
    round_trip_ms = 0.0
    there = False
    for entry in answer["stats"]:
        if entry["data_type"] == stream:
            stats, base = entry["data"], entry["data"]["base"]["data"]
            there = base["kind"] == "AUDIO"
            packets += stats["packet_count"]
            lost += base["packets_lost"]
            jitter = max(jitter, base["jitter"])
            round_trip_ms = max(round_trip_ms, base["round_trip_time"])
    return StreamStats(packets, lost, jitter / CLOCK_PER_MS, round_trip_ms or None) if there else None
