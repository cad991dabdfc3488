"""One party's RTP packets become an unbroken stretch of PCM: 16 kHz, mono, 16 bits, 20 ms a frame, as long as the time
that passes. What was lost, muted or not sent (DTX) is silence in it. Runs in the process that decodes.
"""

from __future__ import annotations

from collections.abc import Iterator

import av

from app.media.opus import RATE
from app.media.rtp import RtpPacket, ahead

PCM_RATE = 16_000  # Hz
FRAME_S = 0.02
FRAME_BYTES = 640
SILENCE = bytes(FRAME_BYTES)
WAIT_FOR = 3  # packets that came behind one that is missing: then it is lost
LONGEST_GAP_S = 1.0  # of missing packets that are filled by their timestamps; more is filled as time passes
BEHIND_S = 0.3  # how far the frames may lag behind the time before silence is put in, and
KEEP_S = 0.2  # by how much they lag then, for what is on its way


class Pcm:
    """``began_at`` is when the stretch begins, in monotonic seconds."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._frames = 0  # that were given
        self._cut = bytearray()  # less than a frame
        self._early: list[RtpPacket] = []  # that came before one that is missing, in their order
        self._ssrc: int | None = None
        self._next: tuple[int, int] | None = None  # the sequence number and the timestamp to come; None where unknown
        self._begin()

    def _begin(self) -> None:
        self._decoder = av.CodecContext.create("libopus", "r")
        self._resampler = av.AudioResampler("s16", "mono", PCM_RATE)

    def hear(self, packet: bytes) -> Iterator[bytes]:
        """The frames that a packet completes."""
        parsed = RtpPacket.parse(packet)
        if parsed is None or not parsed.payload:
            return
        if parsed.ssrc != self._ssrc:  # another producer
            self._ssrc, self._next, self._early = parsed.ssrc, None, []
            self._begin()
        self._early.append(parsed)
        first = parsed.sequence if self._next is None else self._next[0]
        self._early.sort(key=lambda one: ahead(one.sequence, first, 16))
        while self._early:
            if self._next is not None:
                early_by = ahead(self._early[0].sequence, self._next[0], 16)
                if early_by < 0:
                    self._early.pop(0)
                    continue
                if early_by > 0 and len(self._early) < WAIT_FOR:
                    break
            yield from self._decode(self._early.pop(0))

    def pass_time(self, now: float) -> Iterator[bytes]:
        """The silence that is to be put in where nothing came, at a monotonic time."""
        behind_s = now - self._began_at - self._frames * FRAME_S
        if behind_s < BEHIND_S:
            return
        self._next = None  # what comes now comes now, whatever its timestamp
        while self._early:
            yield from self._decode(self._early.pop(0))
        self._cut.clear()
        while now - self._began_at - self._frames * FRAME_S > KEEP_S:
            self._frames += 1
            yield SILENCE

    def _decode(self, packet: RtpPacket) -> Iterator[bytes]:
        gap = 0 if self._next is None else ahead(packet.timestamp, self._next[1], 32)
        if 0 < gap <= LONGEST_GAP_S * RATE:
            self._cut += bytes(2 * (gap * PCM_RATE // RATE))
        samples = 0
        try:
            for decoded in self._decoder.decode(av.Packet(packet.payload)):
                if not isinstance(decoded, av.AudioFrame):
                    continue
                samples += decoded.samples * RATE // decoded.sample_rate
                decoded.pts = None
                for one in self._resampler.resample(decoded):
                    self._cut += bytes(one.planes[0])[: 2 * one.samples]
        except av.FFmpegError:  # no Opus, whatever its payload type says
            self._begin()
        self._next = (packet.sequence + 1) & 0xFFFF, (packet.timestamp + samples) & 0xFFFF_FFFF
        while len(self._cut) >= FRAME_BYTES:
            frame = bytes(self._cut[:FRAME_BYTES])
            del self._cut[:FRAME_BYTES]
            self._frames += 1
            yield frame
