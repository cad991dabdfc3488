"""The packets of a voice are those of a browser."""

from __future__ import annotations

import os

import pytest
from pylibsrtp import Policy, Session

from voiceplane.loadtest.dtls import SRTP_PROFILE
from voiceplane.loadtest.options import FRAMES_MS
from voiceplane.loadtest.voice import Stream, Voice

KEY = os.urandom(30)
STREAM = Stream(ssrc=1234, payload_type=111, mid_id=1, level_id=6, send_time_id=4)
MS = 1_000_000


@pytest.mark.parametrize("frame_ms", FRAMES_MS)
def test_packets_are_a_browsers(frame_ms: int):
    voice = Voice(STREAM, KEY, frame_ms)
    receiver = Session(Policy(KEY, Policy.SSRC_ANY_INBOUND, srtp_profile=SRTP_PROFILE))
    first, second = (receiver.unprotect(voice.next_packet(at_ns)) for at_ns in (0, frame_ms * MS))
    assert (first[1], second[1]) == (0x80 | 111, 111)  # the marker is on the first alone
    assert int.from_bytes(second[2:4], "big") - int.from_bytes(first[2:4], "big") == 1
    assert (
        int.from_bytes(second[4:8], "big") - int.from_bytes(first[4:8], "big")
    ) % 2**32 == 48 * frame_ms  # RFC 7587 §4.1
    assert first[8:12] == (1234).to_bytes(4, "big")
    assert first[12:24].hex() == "bede0002" + "1030" + "609e" + "42000000"
    assert len(first) == 24 + 4 * frame_ms  # 32 kbit/s
