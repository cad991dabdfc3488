"""Ogg pages, written here and read here; what ffmpeg writes is read in `tests/app/announcing/test_clip.py`."""

from __future__ import annotations

import pytest

from app.media.ogg import CONTINUED, FIRST, LAST, NO_GRANULE, OggError, checksum, packets, page, pages

SERIAL = 0x1234


def stream(*contents: list[bytes], serial: int = SERIAL) -> bytes:
    """A stream with one page for each list of packets."""
    flags = [0] * len(contents)
    flags[0] |= FIRST
    flags[-1] |= LAST
    return b"".join(page(one, at, serial, at, flags[at]) for at, one in enumerate(contents))


def test_a_checksum_is_that_of_the_document():
    """The CRC-32 of polynomial 0x04c11db7, from 0, neither mirrored nor inverted, bit by bit (RFC 3533 §6)."""
    data, slow = bytes(range(256)) * 3, 0
    for byte in data:
        slow ^= byte << 24
        for _ in range(8):
            slow = (slow << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if slow >> 31 else 0)
    assert checksum(data) == slow


def test_packets_of_any_length_come_back():
    sent = [[b"head"], [b""], [b"a" * 254, b"b" * 255, b"c" * 256, b""], [bytes(5000), b"end"]]
    data = stream(*sent)
    assert list(packets(data)) == [one for some in sent for one in some]
    assert [(one.flags, one.granule, one.serial, one.sequence) for one in pages(data)] == [
        (FIRST, 0, SERIAL, 0),
        (0, 1, SERIAL, 1),
        (0, 2, SERIAL, 2),
        (LAST, 3, SERIAL, 3),
    ]


def test_a_packet_may_go_on_over_pages():
    """Its first page has segments of 255 bytes alone."""
    whole = page([bytes(510)], NO_GRANULE, SERIAL, 1)
    begun = bytearray(whole[:26] + bytes([2]) + whole[27:29] + whole[30:])  # without the segment that ends it
    begun[22:26] = bytes(4)
    begun[22:26] = checksum(bytes(begun)).to_bytes(4, "little")
    rest = page([b"tail", b"next"], 9, SERIAL, 2, CONTINUED | LAST)
    data = page([b"head"], 0, SERIAL, 0, FIRST) + bytes(begun) + rest
    assert list(packets(data)) == [b"head", bytes(510) + b"tail", b"next"]
    torn = page([b"tail", b"next"], 9, SERIAL, 2, LAST)
    with pytest.raises(OggError, match="torn at page 2"):
        list(packets(page([b"head"], 0, SERIAL, 0, FIRST) + bytes(begun) + torn))


def test_a_page_has_at_most_255_segments():
    with pytest.raises(ValueError, match="256 segments"):
        page([bytes(255 * 255)], 0, SERIAL, 0)


GOOD = stream([b"head"], [b"tags"], [b"sound", b"more"])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is no Ogg file"),
        (GOOD[:-3], "ends in the middle of a page"),
        (GOOD[:20], "ends in the middle of a page"),
        (GOOD[: -len(page([b"sound", b"more"], 0, SERIAL, 0))], "ends early"),
        (GOOD + b"x", "has more behind the end"),
        (GOOD + GOOD, "has more behind the end"),
        (GOOD[:-1] + b"x", "is damaged"),
        (stream([b"head"], [b"tags"])[len(page([b"head"], 0, SERIAL, 0)) :], "does not begin with the first page"),
        (page([b"a"], 0, 1, 0, FIRST) + page([b"b"], 0, 2, 0, FIRST), "more than one stream"),
        (page([b"a"], 0, 1, 0, FIRST) + page([b"b"], 0, 1, 2, LAST), "lacks page 1"),
        (GOOD[:4] + b"\x01" + GOOD[5:], "version 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_such_file_is_refused_with_the_reason(data, why):
    with pytest.raises(OggError, match=why):
        list(packets(data))
