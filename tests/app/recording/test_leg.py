"""Where packets lie in a leg, whatever the network and the sender's clock did to them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest

from app.media.opus import RATE, samples_of
from app.recording.filling import CONCEALING, FRAME, SILENCE
from app.recording.leg import Arrived, Leg
from tests.worker_bridge.rtp_packets import Rtp

BEGAN = 1000.0  # connectedAt, in monotonic seconds
FRAME_S = 0.02
TOC = 0x78  # 20 ms, hybrid full band
SSRC = 7


def said(number: int) -> bytes:
    """What is said in the frame with that number."""
    return bytes([TOC]) + number.to_bytes(4, "big")


def sent(
    numbers: Iterable[int], *, first_s: float = 0.0, timestamp: int = 5, sequence: int = 0, ssrc: int = SSRC
) -> list[Arrived]:
    """Frames that come in their time, the one with number 0 at ``first_s`` of the call."""
    return [
        (
            bytes(Rtp(ssrc, 100, sequence + number, timestamp + number * FRAME, said(number))),
            BEGAN + first_s + number * FRAME_S,
        )
        for number in numbers
    ]


def row_of(leg: Leg, packets: Sequence[Arrived], until_s: float, *, lag_s: float = 0.5) -> list[bytes]:
    """The leg up to a moment of the call, of batches of a second as they would have come."""
    packets = sorted(packets, key=lambda one: one[1])
    row: list[bytes] = []
    at = 0.0
    while at < until_s:
        some = [one for one in packets if BEGAN + at <= one[1] < BEGAN + at + 1]
        at += 1
        row += leg.take(some, BEGAN + min(at - lag_s, until_s))
    return row + leg.take([], BEGAN + until_s)


def places(row: Iterable[bytes]) -> dict[int, float]:
    """When each frame that was said is heard, in seconds."""
    found, at = {}, 0
    for packet in row:
        if len(packet) == 5:
            assert packet not in found
            found[int.from_bytes(packet[1:], "big")] = at / RATE
        at += samples_of(packet)
    return found


def filled(row: Sequence[bytes]) -> list[bytes]:
    return [packet for packet in row if len(packet) != 5]


def length_s(row: Iterable[bytes]) -> float:
    return sum(map(samples_of, row)) / RATE


def test_what_comes_in_time_lies_as_it_was_sent():
    row = row_of(Leg(BEGAN), sent(range(500)), 10.0)
    assert row == [said(number) for number in range(500)]


def test_who_begins_to_send_later_is_heard_as_much_later():
    row = row_of(Leg(BEGAN), sent(range(100), first_s=3.0), 5.0)
    assert row[:150] == [SILENCE] * 150
    assert places(row)[0] == pytest.approx(3.0, abs=0.01)


def test_a_leg_without_any_packet_is_silence():
    assert row_of(Leg(BEGAN), [], 4.0) == [SILENCE] * 200


@pytest.mark.parametrize("loss", [0.02, 0.3, 0.8])
def test_lost_packets_leave_the_others_in_their_places(loss):
    numbers = [number for number in range(1000) if random.Random(f"{loss} {number}").random() >= loss]
    row = row_of(Leg(BEGAN), sent(numbers), 20.0)
    assert length_s(row) == pytest.approx(20.0, abs=FRAME_S)
    found = places(row)
    assert set(found) == set(numbers)
    assert all(at == pytest.approx(number * FRAME_S, abs=0.011) for number, at in found.items())


def test_a_moment_is_concealed_and_what_lasts_is_silence():
    row = row_of(Leg(BEGAN), [*sent(range(50)), *sent(range(200, 250))], 5.0)
    assert row[50:70] == [CONCEALING[TOC]] * 20
    assert row[70:200] == [SILENCE] * 130


def test_packets_out_of_order_and_twice_are_put_right():
    packets = sent(range(200))
    rng = random.Random(1)
    shuffled = [(packet, at + rng.uniform(0, 0.2)) for packet, at in packets]
    again = [(packet, at + 0.1) for packet, at in packets[::3]]
    row = row_of(Leg(BEGAN), [*shuffled, *again], 4.5)
    said_there = [packet for packet in row if len(packet) == 5]
    assert said_there == [said(number) for number in range(200)]


def test_jitter_moves_nothing():
    rng = random.Random(2)
    jittered = [(packet, at + rng.expovariate(1 / 0.03)) for packet, at in sent(range(3000))]
    leg = Leg(BEGAN)
    found = places(row_of(leg, jittered, 60.0))
    assert leg.left_out < 10
    assert all(at == pytest.approx(number * FRAME_S, abs=0.03) for number, at in found.items())


def test_what_comes_after_its_place_was_written_is_left_out():
    packets = sent(range(100))
    late = [(packets[10][0], BEGAN + 1.9)]
    leg = Leg(BEGAN)
    row = row_of(leg, [*packets[:10], *packets[11:], *late], 2.0)
    assert 10 not in places(row)
    assert (leg.left_out, length_s(row)) == (1, 2.0)


def test_numbers_wrap():
    row = row_of(Leg(BEGAN), sent(range(500), timestamp=2**32 - 100 * FRAME, sequence=65_500), 10.0)
    assert row == [said(number) for number in range(500)]


@pytest.mark.parametrize("parts_per_million", [-300, -50, 50, 300])
def test_a_clock_that_is_wrong_does_not_add_up(parts_per_million):
    """Ten minutes; 300 ppm would be 180 ms."""
    rate = 1 + parts_per_million / 1e6
    packets = [(packet, BEGAN + (at - BEGAN) * rate) for packet, at in sent(range(30_000))]
    row = row_of(Leg(BEGAN), packets, 600.0)
    found = places(row)
    assert length_s(row) == pytest.approx(600.0, abs=FRAME_S)
    assert all(at == pytest.approx(number * FRAME_S * rate, abs=0.025) for number, at in found.items())
    assert len(found) > 29_980


def test_a_new_source_takes_the_place_of_the_one_before():
    before, after = sent(range(200)), sent(range(1000, 1200), first_s=1.0 - 20.0, ssrc=8, timestamp=77)
    found = places(row_of(Leg(BEGAN), [*before, *after], 5.0))
    assert max(number for number in found if number < 1000) <= 50
    assert found[1001] == pytest.approx(1.02, abs=0.011)
    assert len([number for number in found if number >= 1000]) >= 199


@pytest.mark.parametrize("jump", [10 * RATE, -10 * RATE, 2**31 - 1, 123_456_789])
def test_timestamps_that_jump_begin_anew(jump):
    before, after = sent(range(75)), sent(range(75, 300), timestamp=(5 + jump) % 2**32)
    found = places(row_of(Leg(BEGAN), [*before, *after], 6.0))
    assert len(found) == 300
    assert all(at == pytest.approx(number * FRAME_S, abs=0.011) for number, at in found.items())


def test_a_clock_that_stood_while_nothing_was_sent_goes_on_where_it_is_heard():
    before, after = sent(range(50)), sent(range(50, 100), first_s=8.0)
    found = places(row_of(Leg(BEGAN), [*before, *after], 12.0))
    assert found[49] == pytest.approx(0.98, abs=0.011)
    assert found[50] == pytest.approx(9.0, abs=0.011)
    assert len(found) == 100


def test_what_was_held_up_for_long_is_left_out_and_the_rest_lies_right():
    """A network that stalls for 3 s and then delivers all at once."""
    packets = sent(range(500))
    stalled = [(packet, at if not 2.0 <= at - BEGAN < 5.0 else BEGAN + 5.0) for packet, at in packets]
    found = places(row_of(Leg(BEGAN), stalled, 10.0))
    assert all(at == pytest.approx(number * FRAME_S, abs=0.011) for number, at in found.items())
    assert set(range(100)) | set(range(250, 500)) <= set(found)


def test_longer_and_shorter_frames_are_as_long_as_they_are():
    sixty, ten = b"\x18x", b"\x00x"
    longer = [(bytes(Rtp(SSRC, 100, n, n * 2880, sixty)), BEGAN + n * 0.06) for n in range(50) if n != 7]
    row = row_of(Leg(BEGAN), longer, 3.0)
    assert row.count(sixty) == 49
    assert length_s(row) == pytest.approx(3.0, abs=FRAME_S)
    shorter = [(bytes(Rtp(SSRC, 100, n, n * 480, ten)), BEGAN + n * 0.01) for n in range(300) if n % 50]
    row = row_of(Leg(BEGAN), shorter, 3.0)
    assert length_s(row) == pytest.approx(3.0, abs=FRAME_S)


def test_header_extensions_contributors_and_padding_are_no_sound():
    whole = bytes(Rtp(SSRC, 100, 1, 5, said(0), extensions={1: b"\x80", 3: b"abc"}))
    padded = bytes([whole[0] | 0x20]) + whole[1:] + b"\0\0\3"
    plain = bytes(Rtp(SSRC, 100, 2, 5 + FRAME, said(1)))
    mixed = bytes([plain[0] | 2]) + plain[1:12] + b"8 bytes!" + plain[12:]
    row = Leg(BEGAN).take([(padded, BEGAN), (mixed, BEGAN + FRAME_S)], BEGAN + 0.04)
    assert row == [said(0), said(1)]


@pytest.mark.parametrize("packet", [b"", b"\x80", bytes(12), b"\xff" * 40, bytes(Rtp(1, 1, 1, 1, b"\xffx" * 9))])
def test_what_is_no_packet_of_opus_changes_nothing(packet):
    assert Leg(BEGAN).take([(packet, BEGAN)], BEGAN + 0.1) == [SILENCE] * 5


def test_it_goes_on_behind_what_was_written():
    leg = Leg(BEGAN, 10 * RATE)
    row = leg.take(sent(range(50), first_s=12.0), BEGAN + 13.0)
    assert row[:100] == [SILENCE] * 100
    assert leg.written == 13 * RATE
