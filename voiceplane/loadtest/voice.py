"""What one party sends: an Opus stream as RTP, a frame a packet, encrypted. Knows neither its socket nor its pace.

The packets are like a browser's: mid, audio level and absolute send time as header extensions. Their payload is noise:
the server forwards Opus without decoding it.
"""

from __future__ import annotations

import os
import struct
from array import array
from typing import NamedTuple

from pylibsrtp import Policy, Session

from voiceplane.loadtest.dtls import SRTP_PROFILE
from voiceplane.loadtest.rtcp import sender_report

TICKS_PER_MS = 48  # Opus' RTP clock (RFC 7587 §4.1)
BYTES_PER_MS = 4  # 32 kbit/s
REMEMBERED = 1024  # packets whose sending times are kept: 20 s or more, twice the silence that ends a call
MARKER = 0x80  # on the first packet of a talk spurt: RFC 3551 §4.1
VERSION_2_WITH_EXTENSION = 0x90
ONE_BYTE_EXTENSIONS = 0xBEDE  # RFC 8285 §4.2
LEVEL = 0x80 | 30  # voice, at -30 dBov: RFC 6464 §3
SEND_TIME_UNIT = 1 << 18  # of a second: abs-send-time is 6.18 fixed point

_RTP = struct.Struct("!BBHIIHHBBBBB3s")
_WORDS = 2  # of 4 bytes: 2 bytes for mid, 2 for the level, 4 for the time


class Stream(NamedTuple):
    """The stream that was signalled, RTC-04's rtpParameters in short. Extension ids are 1 to 14."""

    ssrc: int
    payload_type: int
    mid_id: int
    level_id: int
    send_time_id: int


class Voice:
    """One stream, in frames of `frame_ms`. `sent` counts packets that left, `numbered` all that were made."""

    def __init__(self, stream: Stream, key: bytes, frame_ms: int) -> None:
        self.frame_ticks = frame_ms * TICKS_PER_MS
        self.first_timestamp = int.from_bytes(os.urandom(4), "big")
        self.numbered = 0
        self.sent = 0
        self.sent_at_ns = array("Q", bytes(8 * REMEMBERED))  # by number, modulo REMEMBERED
        self._first_sequence = int.from_bytes(os.urandom(2), "big") >> 1  # RFC 3711 §3.3.1: not near its end
        self._stream = stream
        self._payload = os.urandom(frame_ms * BYTES_PER_MS)
        self._srtp = Session(Policy(key, Policy.SSRC_ANY_OUTBOUND, srtp_profile=SRTP_PROFILE))

    def next_packet(self, at_ns: int) -> bytes:
        """The next frame, to be sent now. :param at_ns: the wall clock."""
        number = self.numbered
        self.numbered += 1
        self.sent_at_ns[number % REMEMBERED] = at_ns
        return self._srtp.protect(self._packet(number, at_ns) + self._payload)

    def report(self, at_ns: int) -> bytes:
        """The sender report for the server."""
        timestamp = (self.first_timestamp + self.numbered * self.frame_ticks) & 0xFFFFFFFF
        report = sender_report(self._stream.ssrc, at_ns, timestamp, self.sent, self.sent * len(self._payload))
        return self._srtp.protect_rtcp(report)

    def _packet(self, number: int, at_ns: int) -> bytes:
        stream = self._stream
        return _RTP.pack(
            VERSION_2_WITH_EXTENSION,
            stream.payload_type | (0 if number else MARKER),
            (self._first_sequence + number) & 0xFFFF,
            (self.first_timestamp + number * self.frame_ticks) & 0xFFFFFFFF,
            stream.ssrc,
            ONE_BYTE_EXTENSIONS,
            _WORDS,
            stream.mid_id << 4,
            ord("0"),
            stream.level_id << 4,
            LEVEL,
            stream.send_time_id << 4 | 2,
            (at_ns * SEND_TIME_UNIT // 10**9 & 0xFFFFFF).to_bytes(3, "big"),
        )
