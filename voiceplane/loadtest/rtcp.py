"""The RTCP that a call needs: sender and receiver reports (RFC 3550 §6.4), each alone in its packet (RFC 5506)."""

from __future__ import annotations

import struct
from typing import NamedTuple

SENDER_REPORT, RECEIVER_REPORT = 200, 201
VERSION_2 = 0x80
NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970

_SENDER = struct.Struct("!BBHIQIII")
_RECEIVER = struct.Struct("!BBHIIIIIII")
_HEADER = struct.Struct("!BBHIQ")


class Reception(NamedTuple):
    """A report block of a receiver. ``fraction_lost`` is in 1/256, since the last report."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int  # with the cycles above its 16 bits
    jitter: int  # in RTP time units
    last_report: int  # the middle 32 bits of its NTP time; 0 before the first
    since_last_report: int  # in units of 1/65536 s


def ntp(at_ns: int) -> int:
    """The wall clock as 32.32 fixed point."""
    return ((at_ns << 32) // 10**9 + (NTP_EPOCH_S << 32)) & (1 << 64) - 1


def sender_report(ssrc: int, at_ns: int, timestamp: int, packets: int, octets: int) -> bytes:
    return _SENDER.pack(
        VERSION_2, SENDER_REPORT, 6, ssrc, ntp(at_ns), timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )


def receiver_report(reporter: int, seen: Reception) -> bytes:
    lost = seen.fraction_lost << 24 | max(0, seen.lost) & 0xFFFFFF
    return _RECEIVER.pack(
        VERSION_2 | 1,
        RECEIVER_REPORT,
        7,
        reporter,
        seen.ssrc,
        lost,
        seen.highest_sequence,
        seen.jitter,
        seen.last_report,
        seen.since_last_report,
    )


def report_time(packet: bytes) -> int | None:
    """The middle 32 bits of a sender report's NTP time, which a receiver report gives back; None in other packets."""
    if len(packet) < _HEADER.size:
        return None
    _, packet_type, _, _, time = _HEADER.unpack_from(packet)
    return time >> 16 & 0xFFFFFFFF if packet_type == SENDER_REPORT else None
