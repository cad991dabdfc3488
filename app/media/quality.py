"""How well each party hears the other: loss, jitter, round trip, and the E-model's estimate from them.

Two networks lie between a speaker and a listener. Packets that the first one loses are missed by the worker. The
listener reports all that it misses (RFC 3550 §6.4), whichever network lost it, because the sequence numbers of
forwarded packets keep their gaps. So the two losses are not added: the listener's report counts, and until it comes,
the worker's own count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.media.emodel import OPUS, OPUS_WITH_FEC, Codec, mos, mouth_to_ear_ms, r_factor
from app.media.room import Room
from app.media.stats import StreamStats
from schemas.types import PartyRole
from worker_bridge.connectivity import Protocol
from worker_bridge.producer import Producer

FIRST_MEASURED, MEASURED_EVERY = 2, 5  # sweeps, which come once a second: listeners report every few seconds
NOTHING = StreamStats(0, 0, 0.0, None)


@dataclass(frozen=True, slots=True)
class Quality:
    """One direction over some time: ``lost`` of the ``expected`` packets; ``round_trip_ms`` is from party to party and
    back, None while it is not known."""

    expected: int
    lost: int
    jitter_ms: float
    round_trip_ms: float | None
    codec: Codec = OPUS

    @property
    def loss(self) -> float:
        """0 to 1."""
        return self.lost / self.expected if self.expected else 0.0

    @property
    def r(self) -> float:
        return r_factor(self.loss, mouth_to_ear_ms(self.round_trip_ms or 0.0, self.jitter_ms), self.codec)

    @property
    def mos(self) -> float:
        return mos(self.r)


@dataclass(slots=True)
class PacketCount:
    """Packets that one side has counted, over all streams that came and went."""

    packets: int = 0
    lost: int = 0
    _last: dict[str, StreamStats] = field(default_factory=dict)

    def since(self, stats: Mapping[str, StreamStats]) -> tuple[int, int]:
        """Packets and losses since the last call; ``add`` is what adds them to the sums."""
        packets = lost = 0
        for stream_id, present in stats.items():
            before = self._last.get(stream_id, NOTHING)
            packets += present.packets - before.packets
            lost += present.lost - before.lost
        self._last.update(stats)
        return packets, lost

    def add(self, packets: int, lost: int) -> None:
        self.packets += packets
        self.lost += lost


@dataclass(slots=True)
class Mean:
    """The mean of what was measured each time."""

    total: float = 0.0
    count: int = 0

    def take(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Direction:
    """From a speaker to a listener. ``latest`` is the quality between the last two times, None where nothing was heard:
    nobody spoke, or nobody listened. ``times_measured`` is how often it was measured."""

    speaker: PartyRole
    listener: PartyRole
    latest: Quality | None = None
    times_measured: int = 0
    _sent: PacketCount = field(default_factory=PacketCount)
    _heard: PacketCount = field(default_factory=PacketCount)
    _jitter: Mean = field(default_factory=Mean)
    _round_trip: Mean = field(default_factory=Mean)
    _codec: Codec = OPUS

    def measure(
        self,
        sent: Mapping[str, StreamStats],
        heard: Mapping[str, StreamStats],
        round_trip_ms: float | None,
        codec: Codec,
    ) -> None:
        self.times_measured += 1
        packets, missed = self._sent.since(sent)
        forwarded, reported = self._heard.since(heard)
        if packets <= 0 or forwarded <= 0:
            self.latest = None
            return
        self._sent.add(packets, missed)
        self._heard.add(forwarded, reported)
        reports = [one.jitter_ms for one in heard.values() if one.round_trip_ms is not None]
        jitter_ms = max(reports or [one.jitter_ms for one in sent.values()])
        self._codec = codec
        self._jitter.take(jitter_ms)
        self._round_trip.take(round_trip_ms)
        self.latest = Quality(*losses(packets, missed, reported), jitter_ms, round_trip_ms, codec)

    @property
    def whole(self) -> Quality | None:
        """The quality of all the time in which something was heard; None where there was no such time."""
        jitter_ms = self._jitter.value
        if jitter_ms is None:
            return None
        lost = losses(self._sent.packets, self._sent.lost, self._heard.lost)
        return Quality(*lost, jitter_ms, self._round_trip.value, self._codec)


class CallQuality:
    """Both directions of one call, measured every few sweeps."""

    def __init__(self) -> None:
        self.directions = (Direction("user", "otomo"), Direction("otomo", "user"))
        self.protocols: dict[PartyRole, Protocol] = {}  # by party, as last seen
        self._sweeps = 0

    def is_due(self) -> bool:
        """Whether this sweep should read the listeners' reports, too. Calls take turns by their age."""
        self._sweeps += 1
        return self._sweeps % MEASURED_EVERY == FIRST_MEASURED

    def measure(self, room: Room) -> Iterator[Quality]:
        """Take a sweep's statistics. Returns each direction's quality since the last time."""
        self.note_protocols(room)
        sent: defaultdict[PartyRole, dict[str, StreamStats]] = defaultdict(dict)
        heard: defaultdict[PartyRole, dict[str, StreamStats]] = defaultdict(dict)
        codecs: dict[PartyRole, Codec] = {}
        for speaking in room.producers.values():
            if speaking.stats is not None:
                sent[speaking.party][speaking.producer.id] = speaking.stats
                codecs[speaking.party] = codec_of(speaking.producer)
        for listening in room.consumers.values():
            if listening.stats is not None:
                heard[listening.party][listening.consumer.id] = listening.stats
        ways = {party: way_ms(stats) for party, stats in heard.items()}
        known = [way for way in ways.values() if way is not None]
        for direction in self.directions:
            speaker, listener = direction.speaker, direction.listener
            direction.measure(sent[speaker], heard[listener], sum(known) if known else None, codecs.get(speaker, OPUS))
            if direction.latest is not None:
                yield direction.latest

    def note_protocols(self, room: Room) -> None:
        for one in room.transports.values():
            if one.transport.ice_selected_tuple is not None:
                self.protocols[one.party] = one.transport.ice_selected_tuple.protocol


def losses(received: int, missed: int, reported: int) -> tuple[int, int]:
    """How many packets the listener should have got, and how many of them are lost: ``missed`` is the worker's count,
    ``reported`` the listener's."""
    expected = received + max(missed, 0)
    return expected, min(max(missed, reported, 0), expected)


def way_ms(stats: Mapping[str, StreamStats]) -> float | None:
    """The round trip to the party and back, in milliseconds."""
    return max((one.round_trip_ms for one in stats.values() if one.round_trip_ms is not None), default=None)


def codec_of(producer: Producer) -> Codec:
    return OPUS_WITH_FEC if producer.rtp_parameters.codecs[0].parameters.get("useinbandfec") == 1 else OPUS
