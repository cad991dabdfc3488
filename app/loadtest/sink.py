"""What one party hears: every packet that arrives is held against what the other party sent. Reads no socket.

The server forwards Opus with its RTP timestamps as they were, and these stand in the clear: so each packet is told
apart, and timed, without being decrypted. One in `CHECKED` is decrypted all the same, which proves that the keys are
right.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import NamedTuple

from pylibsrtp import Error, Policy, Session

from app.loadtest.dtls import SRTP_PROFILE
from app.loadtest.voice import FRAME_TICKS, REMEMBERED, Voice

CHECKED = 50  # packets, a second's worth
BIN_NS = 100_000  # forwarding times are counted in steps of 0.1 ms

_TIMESTAMP = struct.Struct("!I")
_TIMESTAMP_AT = 4  # bytes into the RTP header: RFC 3550 §5.1


class Tally(NamedTuple):
    """One direction, from its first packet to its last. `forged` failed authentication, `strange` nobody sent."""

    sent: int
    received: int
    repeated: int
    strange: int
    forged: int

    @property
    def lost(self) -> int:
        return self.sent - self.received


class Sink:
    """The receiving end of one voice. `forwarded` counts packets by their time under way, in steps of `BIN_NS`."""

    def __init__(self, voice: Voice, key: bytes, forwarded: Counter[int]) -> None:
        self.received = self.repeated = self.strange = self.forged = 0
        self._expected = 0  # packets up to the newest that came
        self._voice = voice
        self._seen = bytearray()
        self._forwarded = forwarded
        self._srtp = Session(Policy(key, Policy.SSRC_ANY_INBOUND, srtp_profile=SRTP_PROFILE))

    def take(self, packet: memoryview, arrived_ns: int) -> None:
        """An SRTP packet. :param arrived_ns: the wall clock when the kernel had it."""
        ticks = _TIMESTAMP.unpack_from(packet, _TIMESTAMP_AT)[0] - self._voice.first_timestamp
        number, rest = divmod(ticks & 0xFFFFFFFF, FRAME_TICKS)
        if rest or not self._voice.numbered - REMEMBERED <= number < self._voice.numbered:
            self.strange += 1
        elif self._is_new(number):
            self.received += 1
            self._expected = max(self._expected, number + 1)
            under_way_ns = arrived_ns - self._voice.sent_at_ns[number % REMEMBERED]
            self._forwarded[max(0, under_way_ns) // BIN_NS] += 1
            if number % CHECKED == 0:
                self._check(packet)
        else:
            self.repeated += 1

    @property
    def missing(self) -> int:
        """Packets that later ones have overtaken: lost, most likely."""
        return self._expected - self.received

    def tally(self) -> Tally:
        return Tally(self._voice.sent, self.received, self.repeated, self.strange, self.forged)

    def _is_new(self, number: int) -> bool:
        seen = self._seen
        if number >= len(seen):
            seen.extend(bytes(number + CHECKED - len(seen)))
        is_new = not seen[number]
        seen[number] = 1
        return is_new

    def _check(self, packet: memoryview) -> None:
        try:
            self._srtp.unprotect(bytes(packet))
        except Error:
            self.forged += 1
