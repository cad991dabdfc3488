"""Opus packets' lengths, and the head of a file."""

from __future__ import annotations

import pytest

from app.media.opus import OpusError, OpusHead, samples_of, tags


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        ([0 << 3], 480),  # SILK, 10 ms
        ([3 << 3], 2880),  # SILK, 60 ms
        ([13 << 3], 960),  # hybrid, 20 ms
        ([16 << 3], 120),  # CELT, 2.5 ms
        ([31 << 3], 960),  # CELT, 20 ms
        ([30 << 3 | 1], 960),  # two of 10 ms
        ([30 << 3 | 2], 960),
        ([30 << 3 | 3, 3], 1440),  # a number of frames that is told
    ],
)
def test_a_packet_is_as_long_as_its_frames(packet, samples):
    assert samples_of(bytes(packet) + b"sound") == samples


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "empty"),
        (bytes([3]), "without its number"),
        (bytes([3 << 3 | 3, 3]), "8640"),
        (bytes([3, 0]), "0 samples"),
    ],
)
def test_what_is_no_packet_is_refused(packet, why):
    with pytest.raises(OpusError, match=why):
        samples_of(packet)


def test_a_head_comes_back_as_it_was_written():
    head = OpusHead(channels=2, pre_skip=312, input_rate=44_100, gain=-256, mapping=0)
    assert OpusHead.parse(head.packet()) == head
    assert len(head.packet()) == 19


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"\x01vorbis" + bytes(30), "does not hold Opus"),
        (b"OpusHead", "does not hold Opus"),
        (b"OpusHead\x1f" + bytes(20), "later version"),
    ],
)
def test_what_is_no_head_is_refused(packet, why):
    with pytest.raises(OpusError, match=why):
        OpusHead.parse(packet)


def test_tags_name_the_vendor_and_the_comments():
    assert tags("us", "TITLE=hold") == b"OpusTags\2\0\0\0us\1\0\0\0\x0a\0\0\0TITLE=hold"
