"""Traces: what the worker can report of single packets and of bandwidth, how that is asked for, and how it reads."""

from __future__ import annotations

from typing import Any, Literal, get_args

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


class Trace(msgspec.Struct, frozen=True):
    """One thing that was seen. ``timestamp`` is milliseconds of the worker's monotonic clock.

    ``info`` depends on the type: ``rtp_packet`` and ``is_rtx`` for ``rtp`` and ``keyframe`` (which replaces ``rtp`` for
    its packet); ``ssrc`` for ``pli`` and ``fir``; the sender report for ``sr``; bitrates for ``bwe``; nothing for
    ``nack`` and ``probation``.
    """

    type: ProducerTrace | TransportTrace
    timestamp: int
    direction: Literal["in", "out"]
    info: dict[str, Any] = {}


def trace_types(types: tuple[str, ...], known: frozenset[str]) -> list[str]:
    """The schema's names of trace types. An unknown one is refused: the worker would trace something else."""
    for name in types:
        if not isinstance(name, str) or name not in known:
            raise InvalidParameters(f"types: {show(name)} is none of {', '.join(sorted(known))}")
    return [name.upper() for name in types]


def trace_from_fbs(body: Body) -> Trace:
    info = dict(body["info"] or {})
    if "rtp_packet" in info:
        info["rtp_packet"] = {key: value for key, value in info["rtp_packet"].items() if value not in (None, "")}
    if "bwe_type" in info:
        info["bwe_type"] = info["bwe_type"].lower().replace("_", "-")
    direction: Literal["in", "out"] = "in" if body["direction"] == "DIRECTION_IN" else "out"
    return Trace(body["type"].lower(), body["timestamp"], direction, info)
