"""From RTP packets to frames of PCM: nothing is lost that came, and all that did not come is silence."""

from __future__ import annotations

import pytest

from app.streaming.pcm import BEHIND_S, FRAME_BYTES, KEEP_S, Pcm
from tests.app.streaming.sound import loud, pitch, spoken


def heard(pcm: Pcm, packets: list[bytes]) -> list[bytes]:
    return [frame for packet in packets for frame in pcm.hear(packet)]


def test_what_is_said_comes_out_in_frames_of_20_ms():
    frames = heard(Pcm(0.0), spoken(2.0, 440.0))
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    assert 98 <= len(frames) <= 100
    assert pitch(frames) == pytest.approx(440.0, abs=2.0)


def test_what_was_lost_is_silence_of_its_length():
    packets = spoken(2.0)
    frames = heard(Pcm(0.0), packets[:50] + packets[75:])
    assert 97 <= len(frames) <= 100
    silent = [at for at, one in enumerate(loud(frames)) if not one and 5 < at < 95]
    assert 22 <= len(silent) <= 26
    assert 48 <= silent[0] <= 52


def test_packets_that_come_in_another_order_are_put_in_theirs():
    packets = spoken(1.0)
    mixed = packets.copy()
    mixed[10], mixed[11] = packets[11], packets[10]
    mixed[20], mixed[22] = packets[22], packets[20]
    assert heard(Pcm(0.0), mixed) == heard(Pcm(0.0), packets)


def test_one_that_comes_twice_or_too_late_is_left_out():
    packets = spoken(1.0)
    doubled = [one for packet in packets for one in (packet, packet)]
    assert heard(Pcm(0.0), doubled) == heard(Pcm(0.0), packets)
    late = packets[:10] + packets[11:30] + [packets[10]] + packets[30:]
    assert len(heard(Pcm(0.0), late)) == pytest.approx(50, abs=2)


def test_sequence_numbers_and_timestamps_wrap():
    wrapping = spoken(1.0, sequence=65_520, timestamp=2**32 - 9600)
    assert len(heard(Pcm(0.0), wrapping)) == pytest.approx(50, abs=2)
    assert all(loud(heard(Pcm(0.0), wrapping))[3:])


def test_where_nothing_comes_silence_is_put_in_as_time_passes():
    pcm, packets = Pcm(100.0), spoken(2.0)
    frames = heard(pcm, packets[:50])
    assert list(pcm.pass_time(101.0 + KEEP_S / 2)) == []
    silence = list(pcm.pass_time(101.0 + 5.0))
    assert len(silence) == pytest.approx((5.0 - KEEP_S) * 50, abs=2)
    assert not any(loud(silence))
    assert list(pcm.pass_time(101.0 + 5.0 + BEHIND_S / 4)) == []
    more = heard(pcm, packets[50:])  # whose timestamps know nothing of the 5 s
    assert 48 <= len(more) <= 51
    assert len(frames) + len(silence) + len(more) == pytest.approx((1.0 + 5.0 - KEEP_S + 1.0) * 50, abs=4)


def test_another_producer_of_the_party_goes_on_at_once():
    pcm = Pcm(0.0)
    frames = heard(pcm, spoken(1.0, 440.0))
    more = heard(pcm, spoken(1.0, 880.0, ssrc=78, sequence=9000, timestamp=123_456_789))
    assert len(frames) + len(more) == pytest.approx(100, abs=3)
    assert pitch(more) == pytest.approx(880.0, abs=2.0)


GARBAGE = [b"", b"\x80", b"\x80" + bytes(11), b"\x80\x6f\x00\x01" + bytes(8) + b"\x03\x3f" * 40]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_sound_harms_nothing(garbage):
    pcm, packets = Pcm(0.0), spoken(1.0)
    frames = heard(pcm, [*packets[:25], garbage, *packets[25:]])
    assert sum(loud(frames)) >= 40
