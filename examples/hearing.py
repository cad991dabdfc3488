"""From RTP packets to sound: Opus as PCM, by PyAV. What a transcriber needs, and how loud and how high it is.

PyAV has no concealment of lost packets, so that what is lost is silence here; speech recognisers do not mind.
"""

from __future__ import annotations

import struct

import av
import numpy as np
import numpy.typing as npt

RTP_RATE = 48_000  # Hz (RFC 7587 §4.1)
PCM_RATE = 16_000  # Hz, mono, 16 bits: what speech recognisers take
LONGEST_GAP = 5 * RTP_RATE  # a clock that jumps further was set anew

Samples = npt.NDArray[np.int16]


class Ear:
    """One stream's packets become one unbroken stretch of sound; what was lost or not sent (DTX) is silence in it."""

    def __init__(self) -> None:
        self._decoder = av.CodecContext.create("libopus", "r")
        self._resampler = av.AudioResampler("s16", "mono", PCM_RATE)
        self._next: int | None = None  # the timestamp to come

    def hear(self, packet: bytes) -> Samples:
        """The sound that ``packet`` adds, its gap included; none for one that comes too late."""
        timestamp, payload = split(packet)
        gap = 0 if self._next is None else (timestamp - self._next + 2**31) % 2**32 - 2**31
        if -LONGEST_GAP < gap < 0 or not payload:
            return np.zeros(0, np.int16)
        frames = [one for one in self._decoder.decode(av.Packet(payload)) if isinstance(one, av.AudioFrame)]
        self._next = (timestamp + sum(one.samples for one in frames)) % 2**32
        silence = [_silence(gap)] if 0 < gap < LONGEST_GAP else []
        return self._resampled([*silence, *frames])

    def _resampled(self, frames: list[av.AudioFrame]) -> Samples:
        pieces = [np.zeros(0, np.int16)]
        for frame in frames:
            frame.pts = None
            pieces += [one.to_ndarray()[0].astype(np.int16) for one in self._resampler.resample(frame)]
        return np.concatenate(pieces)


def split(packet: bytes) -> tuple[int, bytes]:
    """An RTP packet's timestamp and payload (RFC 3550 §5.1), without CSRCs, header extensions and padding."""
    first, _, _, timestamp = struct.unpack_from("!BBHI", packet)
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        start += 4 + 4 * int(struct.unpack_from("!H", packet, start + 2)[0])
    end = len(packet) - (packet[-1] if first & 0x20 else 0)
    return timestamp, packet[start:end]


def loudness(samples: Samples) -> float:
    """dBov: 0 is as loud as can be; silence is -127 (RFC 6464 §3)."""
    power = float(np.mean(np.square(samples / 32768))) if len(samples) else 0.0
    return max(-127.0, 10 * float(np.log10(power))) if power else -127.0


def pitch(samples: Samples) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * PCM_RATE / len(samples))


def _silence(samples: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, samples * 2), np.int16), "s16", "stereo")
    frame.sample_rate = RTP_RATE
    return frame
