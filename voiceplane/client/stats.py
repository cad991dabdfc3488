"""What aiortc counts (W3C webrtc-stats), brought down to what a call needs, and a word for how that sounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from app.media.emodel import OPUS_WITH_FEC, mos, mouth_to_ear_ms, r_factor

CLOCK_HZ = 48_000  # of Opus' RTP (RFC 7587 §4.1), in which aiortc counts jitter

Quality = Literal["excellent", "good", "fair", "poor", "lost", "unknown"]
WORDS: tuple[tuple[float, Quality], ...] = (
    (4.2, "excellent"),
    (4.0, "good"),  # G.107 Annex B: satisfied
    (3.1, "fair"),  # nearly all are dissatisfied below
)


@dataclass(frozen=True, slots=True)
class CallStats:
    """Of one call, from its beginning in this room; what is not known is None.

    `jitter_ms` is the mean deviation of the transit time of what is received (RFC 3550 §6.4.1), `round_trip_ms` to the
    server and back. `transports` says for people how far each is.
    """

    packets_sent: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    jitter_ms: float | None = None
    round_trip_ms: float | None = None
    transports: tuple[str, ...] = ()

    @classmethod
    def of(cls, reports: Iterable[dict[str, Any]], transports: tuple[str, ...]) -> CallStats:
        """:param reports: of all transports."""
        by_type: dict[str, list[dict[str, Any]]] = {}
        for report in reports:
            by_type.setdefault(report["type"], []).append(report)
        sent, received = by_type.get("outbound-rtp", []), by_type.get("inbound-rtp", [])
        round_trips = [one["roundTripTime"] for one in by_type.get("remote-inbound-rtp", []) if one["roundTripTime"]]
        return cls(
            packets_sent=sum(one["packetsSent"] for one in sent),
            bytes_sent=sum(one["bytesSent"] for one in sent),
            packets_received=sum(one["packetsReceived"] for one in received),
            packets_lost=sum(one["packetsLost"] for one in received),
            jitter_ms=max((one["jitter"] * 1000 / CLOCK_HZ for one in received), default=None),
            round_trip_ms=min(round_trips) * 1000 if round_trips else None,
            transports=transports,
        )


def heard_since(earlier: CallStats, later: CallStats) -> tuple[Quality, float | None]:
    """How it sounded between two looks, in a word and as a mean opinion score of ITU-T G.107; nothing came: `lost`."""
    received = later.packets_received - earlier.packets_received
    lost = max(0, later.packets_lost - earlier.packets_lost)
    if received <= 0:
        return "lost", None
    delay_ms = mouth_to_ear_ms(later.round_trip_ms or 0.0, later.jitter_ms or 0.0)
    score = mos(r_factor(lost / (received + lost), delay_ms, OPUS_WITH_FEC))
    return next((word for least, word in WORDS if score >= least), "poor"), score


class QualityWord:
    """The word that is told: a better or a worse one has to come twice, so that it does not flicker; `lost` at once."""

    def __init__(self) -> None:
        self.word: Quality = "unknown"
        self._candidate: Quality = "unknown"

    def take(self, word: Quality) -> bool:
        """Whether the word is another one now."""
        is_sure = word == self._candidate or "lost" in (word, self.word) or self.word == "unknown"
        self._candidate = word
        if not is_sure or word == self.word:
            return False
        self.word = word
        return True
