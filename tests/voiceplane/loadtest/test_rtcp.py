"""Sender reports, read by another stack: aiortc. Receiver reports are in `test_reception.py`."""

from __future__ import annotations

from aiortc import rtp

from voiceplane.loadtest.rtcp import sender_report


def test_a_sender_report_is_what_another_stack_reads():
    second = 10**9
    (sent,) = rtp.RtcpPacket.parse(sender_report(1234, 1_700_000_000 * second, 960, 5, 400))
    assert isinstance(sent, rtp.RtcpSrPacket)
    info = sent.sender_info
    assert (sent.ssrc, info.rtp_timestamp, info.packet_count, info.octet_count) == (1234, 960, 5, 400)
    assert info.ntp_timestamp >> 32 == 1_700_000_000 + 2_208_988_800
