"""RTP packets as bytes."""

from __future__ import annotations

import struct

import pytest

from app.media.rtp import RtpPacket, ahead

PLAIN = struct.pack("!BBHII", 0x80, 111, 7, 960, 99)


@pytest.mark.parametrize(
    "packet",
    [
        PLAIN + b"sound",
        struct.pack("!BBHIIII", 0x82, 111, 7, 960, 99, 1, 2) + b"sound",  # two CSRCs
        struct.pack("!BBHIIHH", 0x90, 111, 7, 960, 99, 0xBEDE, 1) + b"\x10\x00\x00\x00sound",  # an extension
        struct.pack("!BBHII", 0xA0, 111, 7, 960, 99) + b"sound\0\0\3",  # padding
    ],
    ids=["plain", "CSRCs", "extension", "padding"],
)
def test_the_payload_is_what_the_header_leaves(packet):
    assert RtpPacket.parse(packet) == RtpPacket(7, 960, 99, b"sound")


BEGUN = [b"\x00", b"\x8f", b"\x90"]  # of another version, with CSRCs or an extension that are not there


@pytest.mark.parametrize(
    "packet", [b"", PLAIN[:-1], *(one + PLAIN[1:] for one in BEGUN), b"\xa0" + PLAIN[1:] + b"\xff"]
)
def test_what_is_none_is_none(packet):
    assert RtpPacket.parse(packet) is None


@pytest.mark.parametrize(("later", "earlier", "by"), [(5, 3, 2), (3, 5, -2), (1, 65535, 2), (65535, 1, -2)])
def test_numbers_wrap(later, earlier, by):
    assert ahead(later, earlier, 16) == by
