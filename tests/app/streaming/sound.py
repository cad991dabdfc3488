"""Opus in RTP, as a browser would send it, and how loud PCM is."""

from __future__ import annotations

import struct

import av
import numpy as np

SSRC = 77


def spoken(
    seconds: float, hz: float = 440.0, *, ssrc: int = SSRC, sequence: int = 0, timestamp: int = 0
) -> list[bytes]:
    """A tone, packet by packet."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    packets = []
    for at in range(round(seconds * 50)):
        phase = 2 * np.pi * hz * (np.arange(960) + 960 * at) / 48_000
        frame = av.AudioFrame.from_ndarray((np.sin(phase) * 8000).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, 960 * at
        packets += [bytes(one) for one in encoder.encode(frame)]
    return [
        struct.pack("!BBHII", 0x80, 111, (sequence + at) % 2**16, (timestamp + 960 * at) % 2**32, ssrc) + payload
        for at, payload in enumerate(packets)
    ]


def samples(frames: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(frames), "<i2")


def loud(frames: list[bytes]) -> list[bool]:
    """Which frames have sound in them."""
    return [bool(np.abs(samples([frame])).max() > 500) for frame in frames]


def pitch(frames: list[bytes]) -> float:
    heard = samples(frames)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    return float(np.argmax(spectrum) * 16_000 / len(heard))
