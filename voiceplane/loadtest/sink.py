"""What one party receives: every packet is matched to one that the other party sent. Reads no socket.

The server forwards Opus with its RTP timestamps unchanged and unencrypted: so each packet is identified, and timed,
without being decrypted. Of `CHECKED` packets one is decrypted all the same, which shows that the keys are right.
"""

from __future__ import annotations

import struct
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

from pylibsrtp import Error, Policy, Session

from voiceplane.loadtest.dtls import SRTP_PROFILE, SrtpKeys
from voiceplane.loadtest.reception import Receiving
from voiceplane.loadtest.rtcp import receiver_report, report_time
from voiceplane.loadtest.voice import REMEMBERED, Voice

CHECKED = 50
OURS = 1  # our SSRC in reports, as a browser that only listens has it
BIN_NS = 100_000  # forwarding times are counted in steps of 0.1 ms

_RTP = struct.Struct("!xxHII")  # sequence number, timestamp, SSRC: RFC 3550 §5.1


class PacketCounts(NamedTuple):
    """One direction, from its first packet to its last. `forged` packets failed authentication, `strange` ones were
    sent by nobody."""

    sent: int
    received: int
    repeated: int
    strange: int
    forged: int

    @property
    def lost(self) -> int:
        return self.sent - self.received


NOTHING = PacketCounts(0, 0, 0, 0, 0)


class Sink:
    """The receiving end of one voice. `forwarded` counts packets by their time under way, in steps of `BIN_NS`."""

    def __init__(self, voice: Voice, keys: SrtpKeys, forwarded: Counter[int]) -> None:
        self.received = self.repeated = self.strange = self.forged = 0
        self.first_ns = self.last_ns = 0  # when the first packet arrived, and the latest
        self._expected = 0  # packets up to the newest that came
        self._voice = voice
        self._seen = bytearray()
        self._forwarded = forwarded
        self._receiving = Receiving()
        self._srtp = Session(Policy(keys.theirs, Policy.SSRC_ANY_INBOUND, srtp_profile=SRTP_PROFILE))
        self._srtp_back = Session(Policy(keys.ours, Policy.SSRC_ANY_OUTBOUND, srtp_profile=SRTP_PROFILE))

    def take(self, packet: memoryview, arrived_ns: int) -> None:
        """Take an SRTP packet. :param arrived_ns: the wall clock when the kernel had it."""
        sequence, timestamp, ssrc = _RTP.unpack_from(packet)
        number, rest = divmod((timestamp - self._voice.first_timestamp) & 0xFFFFFFFF, self._voice.frame_ticks)
        if rest or not self._voice.numbered - REMEMBERED <= number < self._voice.numbered:
            self.strange += 1
        elif self._is_new(number):
            self.received += 1
            self.first_ns = self.first_ns or arrived_ns
            self.last_ns = arrived_ns
            self._expected = max(self._expected, number + 1)
            under_way_ns = arrived_ns - self._voice.sent_at_ns[number % REMEMBERED]
            self._forwarded[max(0, under_way_ns) // BIN_NS] += 1
            self._receiving.packet(ssrc, sequence, under_way_ns)
            if number % CHECKED == 0:
                self._check(packet)
        else:
            self.repeated += 1

    def take_report(self, packet: bytes, arrived_ns: int) -> None:
        """Take an SRTCP packet."""
        with suppress(Error):  # a report that can't be read changes nothing
            if time := report_time(self._srtp.unprotect_rtcp(packet)):
                self._receiving.sender_report(time, arrived_ns)

    def report(self, at_ns: int) -> bytes:
        """The receiver report for the server; empty before the first packet."""
        seen = self._receiving.report(at_ns)
        return self._srtp_back.protect_rtcp(receiver_report(OURS, seen)) if seen else b""

    @property
    def missing(self) -> int:
        """Packets that later ones have overtaken: lost, most likely."""
        return self._expected - self.received

    def counts(self) -> PacketCounts:
        return PacketCounts(self._voice.sent, self.received, self.repeated, self.strange, self.forged)

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
