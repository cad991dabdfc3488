"""Statistics of transports, producers and consumers, in mediasoup's own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from schemas.base import Schema
from schemas.fields import Choice, FreeObject, Known, ListOf, Number, Text, Uuid, Whole
from worker_bridge.connectivity import DtlsState, IceState, Protocol
from worker_bridge.rtp import MediaKind


@dataclass(frozen=True, slots=True)
class Statistics:
    """One entry for a transport, one for each RTP stream of a producer, the consumer's own and its producer's for a
    consumer. ``timestamp`` is in milliseconds of the server's monotonic clock, rates are in bits a second, ``jitter``
    in RTP time units, ``fractionLost`` of 256, ``score`` is 0 to 10. What is not known is left out."""

    stats: tuple[dict[str, Any], ...]


MAX_COUNT = 2**53 - 1  # what JSON numbers hold exactly in every language (RFC 8259 §6)
COUNTS = (
    # of a transport
    "bytesReceived", "bytesSent", "recvBitrate", "sendBitrate", "rtpBytesReceived", "rtpBytesSent",
    "availableIncomingBitrate", "availableOutgoingBitrate",
    # of a stream
    "ssrc", "packetCount", "byteCount", "bitrate", "packetsLost", "fractionLost", "jitter", "packetsDiscarded",
    "packetsRetransmitted", "packetsRepaired", "nackCount", "nackPacketCount", "pliCount", "firCount", "score",
)  # fmt: skip


def optional_count() -> Whole:
    return Whole(at_least=0, at_most=MAX_COUNT, load_default=None)


SELECTED_TUPLE: Known = {
    "protocol": Choice(*get_args(Protocol)),
    "localAddress": Text(at_most=255),
    "localPort": Whole(at_least=1, at_most=65535),
    "remoteIp": Text(at_most=255),
    "remotePort": Whole(at_least=1, at_most=65535),
}
ENTRY: Known = {
    "type": Choice("webrtc-transport", "inbound-rtp", "outbound-rtp"),
    "timestamp": Whole(at_least=0, at_most=MAX_COUNT),
    "transportId": Uuid(load_default=None),
    "iceState": Choice(*get_args(IceState), load_default=None),
    "dtlsState": Choice(*get_args(DtlsState), load_default=None),
    "iceSelectedTuple": FreeObject(SELECTED_TUPLE, load_default=None),
    "kind": Choice(*get_args(MediaKind), load_default=None),
    "mimeType": Text(at_most=80, load_default=None),
    "roundTripTime": Number(load_default=None),
    **{name: optional_count() for name in COUNTS},
}
"""What there is of every transport and of every stream; the worker tells more of some."""


class StatisticsSchema(Schema[Statistics]):
    stats = ListOf(FreeObject(ENTRY), at_most=1024)
