"""Opus packets that stand for what did not come, each of 20 ms. Nothing is encoded for them."""

from __future__ import annotations

from typing import Final

FRAME: Final = 960  # samples: 20 ms
SILENCE: Final = b"\xf8\xff\xfe"  # what encoders make of digital silence
STEREO: Final = 0x04  # in a packet's first byte (RFC 6716 §3.1), whose upper five bits are the configuration:
SILK, HYBRID = 12, 16  # those below are of the mode; the others are CELT


def _concealing(first: int) -> bytes:
    """By the same mode, bandwidth and channels, a frame of no bytes: a decoder goes on from what it has heard, as in
    DTX and after a loss (RFC 7845 §4.1)."""
    configuration = first >> 3
    if configuration < SILK:
        configuration = configuration & ~3 | 1
    else:
        configuration |= 1 if configuration < HYBRID else 3
    return bytes([configuration << 3 | first & STEREO])


CONCEALING: Final = tuple(map(_concealing, range(256)))
"""What stands for a packet that did not come, by the first byte of the one before it."""
