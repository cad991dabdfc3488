"""Statistics of transports, producers and consumers, in mediasoup's own names."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from msgspec import Meta

from schemas.base import Answer
from schemas.types import MAX_SAFE
from worker_bridge.connectivity import DtlsState, IceState, Protocol
from worker_bridge.rtp import MediaKind

COUNTS: Final = (
    # of a transport
    "bytesReceived", "bytesSent", "recvBitrate", "sendBitrate", "rtpBytesReceived", "rtpBytesSent",
    "availableIncomingBitrate", "availableOutgoingBitrate",
    # of a stream
    "ssrc", "packetCount", "byteCount", "bitrate", "packetsLost", "fractionLost", "jitter", "packetsDiscarded",
    "packetsRetransmitted", "packetsRepaired", "nackCount", "nackPacketCount", "pliCount", "firCount", "score",
)  # fmt: skip


def count(at_least: int = 0, at_most: int = MAX_SAFE) -> dict[str, Any]:
    return {"type": "integer", "minimum": at_least, "maximum": at_most}


def one_of(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


SELECTED_TUPLE: Final = {
    "type": "object",
    "properties": {
        "protocol": one_of(*get_args(Protocol)),
        "localAddress": {"type": "string"},
        "localPort": count(1, 65535),
        "remoteIp": {"type": "string"},
        "remotePort": count(1, 65535),
    },
}
ENTRY: Final = {
    "properties": {
        "type": one_of("webrtc-transport", "inbound-rtp", "outbound-rtp"),
        "timestamp": count(),
        "transportId": {"type": "string", "format": "uuid"},
        "iceState": one_of(*get_args(IceState)),
        "dtlsState": one_of(*get_args(DtlsState)),
        "iceSelectedTuple": SELECTED_TUPLE,
        "kind": one_of(*get_args(MediaKind)),
        "mimeType": {"type": "string"},
        "roundTripTime": {"type": "number", "minimum": 0},
        **{name: count() for name in COUNTS},
    },
    "required": ["type", "timestamp"],
}
"""The fields of every transport and of every stream; some entries have more."""


class Statistics(Answer, frozen=True):
    """One entry for a transport, one for each RTP stream of a producer, the consumer's own and its producer's for a
    consumer. ``timestamp`` is in milliseconds of the server's monotonic clock, rates are in bits a second, ``jitter``
    in RTP time units, ``fractionLost`` of 256, ``score`` is 0 to 10. What is not known is left out."""

    stats: tuple[Annotated[dict[str, Any], Meta(extra_json_schema=ENTRY)], ...]
