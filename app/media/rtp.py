"""RTP packets as bytes (RFC 3550 §5.1): what a receiver needs of one."""

from __future__ import annotations

import struct
from typing import NamedTuple

FIXED = struct.Struct("!BBHII")


class RtpPacket(NamedTuple):
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, packet: bytes) -> RtpPacket | None:
        """Without CSRCs, header extension and padding; None for what is none."""
        if len(packet) < FIXED.size:
            return None
        first, _, sequence, timestamp, ssrc = FIXED.unpack_from(packet)
        start = FIXED.size + 4 * (first & 0x0F)
        if first & 0x10:
            if len(packet) < start + 4:
                return None
            start += 4 + 4 * int(struct.unpack_from("!H", packet, start + 2)[0])
        end = len(packet) - (packet[-1] if first & 0x20 else 0)
        return cls(sequence, timestamp, ssrc, packet[start:end]) if first >> 6 == 2 and start <= end else None


def ahead(later: int, earlier: int, bits: int) -> int:
    """By how much a number that wraps is ahead of another one; negative where it is behind."""
    half = 1 << (bits - 1)
    return (later - earlier + half) % (1 << bits) - half
