"""Opus as it is stored and sent: how long a packet lasts (RFC 6716), and what a file's first packets say (RFC 7845).
Decodes nothing."""

from __future__ import annotations

import struct
from typing import NamedTuple

RATE = 48_000  # Hz: of RTP timestamps (RFC 7587 §4.1) and granules, whatever the sound was sampled with
HEAD = struct.Struct("<8sBBHIhB")  # RFC 7845 §5.1: magic, version, channels, pre-skip, input rate, gain, mapping
HEAD_MAGIC, TAGS_MAGIC = b"OpusHead", b"OpusTags"
MOST_SAMPLES = 5760  # 120 ms: the longest packet (RFC 6716 §3.2)

# Samples of one frame, by the upper five bits of a packet's first byte (RFC 6716 §3.1).
SILK = (480, 960, 1920, 2880)
HYBRID = (480, 960)
CELT = (120, 240, 480, 960)
FRAME_SAMPLES = SILK * 3 + HYBRID * 2 + CELT * 4


class OpusError(ValueError):
    """The bytes are no such Opus; the text says why, as the end of a sentence that begins with the file's name."""


class OpusHead(NamedTuple):
    """The first packet of an Ogg Opus file. ``pre_skip`` is in samples, ``gain`` in 1/256 dB; ``input_rate``, in Hz, is
    what was encoded, 0 where that is not told."""

    channels: int
    pre_skip: int = 0
    input_rate: int = RATE
    gain: int = 0
    mapping: int = 0

    @classmethod
    def parse(cls, packet: bytes) -> OpusHead:
        """Raises OpusError."""
        if not packet.startswith(HEAD_MAGIC) or len(packet) < HEAD.size:
            raise OpusError("does not hold Opus")
        _, version, channels, pre_skip, input_rate, gain, mapping = HEAD.unpack_from(packet)
        if version >> 4:
            raise OpusError(f"is of a later version of Ogg Opus, {version}")
        return cls(channels, pre_skip, input_rate, gain, mapping)

    def packet(self) -> bytes:
        return HEAD.pack(HEAD_MAGIC, 1, self.channels, self.pre_skip, self.input_rate, self.gain, self.mapping)


def tags(vendor: str, *comments: str) -> bytes:
    """The second packet of an Ogg Opus file (RFC 7845 §5.2); a comment is ``NAME=value``."""
    texts = [text.encode() for text in (vendor, *comments)]
    lengthy = [len(text).to_bytes(4, "little") + text for text in texts]
    return b"".join((TAGS_MAGIC, lengthy[0], len(comments).to_bytes(4, "little"), *lengthy[1:]))


def samples_of(packet: bytes) -> int:
    """How long a packet's sound is, in samples at 48 kHz (RFC 6716 §3.2). Raises OpusError."""
    if not packet:
        raise OpusError("has an empty packet")
    frames = (1, 2, 2, 0)[packet[0] & 3]
    if not frames:
        if len(packet) < 2:
            raise OpusError("has a packet without its number of frames")
        frames = packet[1] & 63
    samples = frames * FRAME_SAMPLES[packet[0] >> 3]
    if not 0 < samples <= MOST_SAMPLES:
        raise OpusError(f"has a packet of {samples} samples")
    return samples
