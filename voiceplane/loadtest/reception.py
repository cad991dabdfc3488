"""What a receiver remembers of a stream for its reports (RFC 3550 §6.4.1, computed as in its appendix A)."""

from __future__ import annotations

from voiceplane.loadtest.rtcp import Reception, ntp

HALF = 1 << 15  # sequence numbers further apart than this have wrapped around
CLOCK_HZ = 48_000


class Receiving:
    """One stream as it arrives. Sequence numbers and SSRC are those of the server."""

    def __init__(self) -> None:
        self.ssrc = 0
        self._first = self._highest = -1  # with cycles
        self._received = self._expected_before = self._received_before = 0
        self._jitter_ns = 0.0
        self._under_way_ns = 0
        self._last_report = 0
        self._last_report_ns = 0

    def packet(self, ssrc: int, sequence: int, under_way_ns: int) -> None:
        """Count a packet that is new. :param under_way_ns: between its sending and its arrival."""
        if self._highest < 0:
            self.ssrc, self._first, self._highest, self._under_way_ns = ssrc, sequence, sequence, under_way_ns
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < HALF:
            self._highest += ahead
        self._received += 1
        self._jitter_ns += (abs(under_way_ns - self._under_way_ns) - self._jitter_ns) / 16  # RFC 3550 A.8
        self._under_way_ns = under_way_ns

    def sender_report(self, time: int, arrived_ns: int) -> None:
        """:param time: as `rtcp.report_time` has it."""
        self._last_report, self._last_report_ns = time, arrived_ns

    def report(self, at_ns: int) -> Reception | None:
        """The report block so far; None before the first packet."""
        if self._highest < 0:
            return None
        expected = self._highest - self._first + 1
        of_late = expected - self._expected_before
        lost_of_late = of_late - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        since = (ntp(at_ns) - ntp(self._last_report_ns)) >> 16 if self._last_report else 0
        return Reception(
            self.ssrc,
            min(255, max(0, lost_of_late) * 256 // of_late) if of_late > 0 else 0,  # A.3
            expected - self._received,
            self._highest & 0xFFFFFFFF,
            int(self._jitter_ns * CLOCK_HZ / 10**9),
            self._last_report,
            since & 0xFFFFFFFF,
        )
