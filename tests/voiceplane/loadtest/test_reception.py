"""What a receiver remembers of a stream, and the reports of it, read by another stack: aiortc."""

from __future__ import annotations

import pytest
from aiortc import rtp

from voiceplane.loadtest.reception import Receiving
from voiceplane.loadtest.rtcp import receiver_report

MS = 1_000_000
SECOND = 1000 * MS


def test_a_receiver_report_is_what_another_stack_reads():
    receiving = Receiving()
    for sequence in (65534, 65535, 0, 3):  # 1 and 2 are missing
        receiving.packet(77, sequence, 2 * MS)
    receiving.sender_report(0x12345678, SECOND)
    seen = receiving.report(3 * SECOND)
    assert seen is not None
    (received,) = rtp.RtcpPacket.parse(receiver_report(1, seen))
    assert isinstance(received, rtp.RtcpRrPacket)
    (block,) = received.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost) == (77, 2 * 256 // 6, 2)
    assert (block.highest_sequence, block.jitter, block.lsr) == (65536 + 3, 0, 0x12345678)
    assert block.dlsr == pytest.approx(2 * 65536, abs=1)


def test_jitter_is_what_varies_under_way():
    receiving = Receiving()
    for number in range(1000):
        receiving.packet(77, number, (number % 2) * 10 * MS)
    seen = receiving.report(0)
    assert seen is not None
    assert seen.jitter == pytest.approx(480, abs=2)  # 10 ms at 48 kHz
    assert Receiving().report(0) is None
