"""Statistics of transports, producers and consumers, in mediasoup's own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.base import Schema
from schemas.fields import Choice, FreeObject, Known, ListOf, Whole


@dataclass(frozen=True, slots=True)
class Statistics:
    """One entry for a transport, one for each RTP stream of a producer, the consumer's own and its producer's for a
    consumer. ``timestamp`` is in milliseconds of the server's monotonic clock, rates are in bits a second, ``jitter``
    in RTP time units, ``fractionLost`` of 256, ``score`` is 0 to 10. What is not known is left out."""

    stats: tuple[dict[str, Any], ...]


ENTRY: Known = {
    "type": Choice("webrtc-transport", "inbound-rtp", "outbound-rtp"),
    "timestamp": Whole(at_least=0, at_most=2**53 - 1),
}


class StatisticsSchema(Schema[Statistics]):
    stats = ListOf(FreeObject(ENTRY), at_most=1024)
