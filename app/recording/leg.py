"""What one party sends, as one gapless row of Opus packets from ``connectedAt`` on, whatever came of it. Pure: RTP
packets with their times of arrival go in, Opus packets come out.

Where a packet belongs is said by its RTP timestamp; where timestamps begin, by the time of arrival of those that were
delayed least. That offset follows the sender's clock, which is not ours. What comes too late, twice, or from a source
that has been replaced is left out; for what is missing stands a packet that has the decoder go on for a moment, and
then silence.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from app.media.opus import RATE, OpusError, samples_of
from app.recording.filling import CONCEALING, FRAME, SILENCE

HEADER: Final = Struct("!BBHII")  # RFC 3550 §5.1: flags, payload type, sequence number, timestamp, SSRC
CONCEALED: Final = RATE * 400 // 1000  # samples after a packet; in DTX the next one comes within 400 ms
HALF: Final = FRAME // 2
JUMP: Final = 2 * RATE  # a timestamp that is so far from where it is expected begins anew
WINDOW: Final = 8  # batches of which the least delay counts,
RISE: Final = RATE // 1000  # and by how much the offset rises in one: 1 ms

Arrived = tuple[bytes, float]
"""An RTP packet, and when it came, in monotonic seconds."""


@dataclass(slots=True)
class Source:
    """Packets whose timestamps belong together. ``offset`` leads from a timestamp to its place in the leg; ``latest``
    is the last timestamp, unwrapped, and ``came`` its place by its arrival."""

    ssrc: int
    latest: int
    came: float
    offset: float = math.inf
    least: float = math.inf  # of the present batch: arrival less timestamp
    leasts: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    batch: list[tuple[int, bytes]] = field(default_factory=list)

    def settle(self) -> None:
        """Follow the least delay: down at once, because nothing comes before it is sent, and up slowly."""
        self.leasts.append(self.least)
        if self.least < self.offset or self.least > self.offset + JUMP:
            self.offset = self.least
            self.leasts.clear()
        elif len(self.leasts) == WINDOW:
            self.offset += min(RISE, max(0.0, min(self.leasts) - self.offset))
        self.least = math.inf


class Leg:
    """``began`` is ``connectedAt`` in monotonic seconds; ``written`` is how many samples the row has already."""

    def __init__(self, began: float, written: int = 0) -> None:
        self._began = began
        self.written = written
        self.left_out = 0  # packets that came too late, or twice
        self._source: Source | None = None
        self._replaced: set[int] = set()  # SSRCs
        self._waiting: list[tuple[int, bytes]] = []  # place and packet, of what is not due yet
        self._before: int | None = None  # the first byte of the last packet,
        self._heard = 0  # and where that one ended

    def take(self, arrived: Iterable[Arrived], until: float) -> list[bytes]:
        """What follows on the row up to the moment ``until``, in monotonic seconds; what belongs later is kept."""
        sources = self._sort(arrived)
        for source in sources:
            source.settle()
            self._waiting += [(round(timestamp + source.offset), packet) for timestamp, packet in source.batch]
            source.batch = []
        self._waiting.sort(key=lambda one: one[0])
        return self._go_on(int((until - self._began) * RATE))

    def _sort(self, arrived: Iterable[Arrived]) -> list[Source]:
        """Parse the packets, and give each to its source. Returns the sources that got some."""
        source, touched = self._source, []
        for packet, at in arrived:
            if len(packet) <= HEADER.size:
                continue
            first, _, _, timestamp, ssrc = HEADER.unpack_from(packet)
            begin = HEADER.size + 4 * (first & 0x0F)
            if first & 0x10:  # a header extension
                begin += 4 + 4 * int.from_bytes(packet[begin + 2 : begin + 4], "big")
            payload = packet[begin : len(packet) - packet[-1]] if first & 0x20 else packet[begin:]
            if not payload or ssrc in self._replaced:
                continue
            came = (at - self._began) * RATE
            if source is None or source.ssrc != ssrc:
                if source is not None:
                    self._replaced.add(source.ssrc)
                source = Source(ssrc, timestamp, came)
            passed = ((timestamp - source.latest + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
            if abs(passed) > JUMP and abs(passed - (came - source.came)) > JUMP:
                source, passed = Source(ssrc, timestamp, came), 0
            source.latest += passed
            source.came = came
            source.least = min(source.least, came - source.latest)
            if not source.batch:
                touched.append(source)
            source.batch.append((source.latest, payload))
        self._source = source
        return touched

    def _go_on(self, until: int) -> list[bytes]:
        """Lay down what is due, and fill what is missing, up to the place ``until``."""
        row: list[bytes] = []
        due = 0
        for place, packet in self._waiting:
            if place > until:
                break
            due += 1
            missing = place - self.written
            try:
                samples = samples_of(packet)
            except OpusError:
                samples = 0
            if missing < -HALF or not samples:
                self.left_out += 1
                continue
            if missing >= HALF:
                self._fill(row, (missing + HALF) // FRAME)
            row.append(packet)
            self.written += samples
            self._before, self._heard = packet[0], self.written
        del self._waiting[:due]
        if until - self.written >= FRAME:
            self._fill(row, (until - self.written) // FRAME)
        return row

    def _fill(self, row: list[bytes], frames: int) -> None:
        concealed = 0
        if self._before is not None:
            concealed = min(frames, max(0, (self._heard + CONCEALED - self.written) // FRAME))
            row += [CONCEALING[self._before]] * concealed
        row += [SILENCE] * (frames - concealed)
        self.written += frames * FRAME
