"""Ogg pages (RFC 3533): packets into bytes, and back. Knows no codec.

A file here is one logical stream: streams that are multiplexed or chained are refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

HEADER = struct.Struct("<4sBBqIIIB")  # §6: capture, version, flags, granule, serial, sequence, checksum, segments
CAPTURE = b"OggS"
CONTINUED, FIRST, LAST = 1, 2, 4  # flags
NO_GRANULE = -1  # of a page on which no packet ends
SEGMENT = 255  # bytes at most; a shorter one ends its packet
MOST_SEGMENTS = 255
CHECKSUM = slice(22, 26)  # in a header
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggError(ValueError):
    """The bytes are no such file; the text says why, as the end of a sentence that begins with the file's name."""


class Page(NamedTuple):
    """``granule`` is that of the last packet that ends on it; ``packets`` are pieces: the first one belongs to a packet
    of the page before where ``flags`` say so, and the last one goes on behind it where ``goes_on``."""

    flags: int
    granule: int
    serial: int
    sequence: int
    packets: tuple[bytes, ...]
    goes_on: bool


def checksum(page: bytes) -> int:
    """The CRC of a page whose checksum is 0 (RFC 3533 §6): CRC-32 with its bits the other way round, from 0, and not
    inverted. So zlib's serves, with each byte mirrored before and the result after."""
    mirrored = zlib.crc32(page.translate(REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(REVERSED), "big")


def page(packets: Sequence[bytes], granule: int, serial: int, sequence: int, flags: int = 0) -> bytes:
    """A page of whole packets. Raises ValueError where they have more than 255 segments."""
    lacing = b"".join(
        bytes([SEGMENT]) * (len(packet) // SEGMENT) + bytes([len(packet) % SEGMENT]) for packet in packets
    )
    if len(lacing) > MOST_SEGMENTS:
        raise ValueError(f"{len(lacing)} segments are too many for a page")
    header = HEADER.pack(CAPTURE, 0, flags, granule, serial, sequence, 0, len(lacing))
    whole = b"".join((header, lacing, *packets))
    return b"".join((header[: CHECKSUM.start], checksum(whole).to_bytes(4, "little"), whole[CHECKSUM.stop :]))


def pages(data: bytes) -> Iterator[Page]:
    """The pages of one stream, checked: their checksums, their order, and that the last one is there. Raises
    OggError."""
    at, expected, last = 0, 0, None
    while at < len(data):
        if last is not None and last.flags & LAST:
            raise OggError("has more behind the end of its stream")
        one, at = page_at(data, at)
        if last is None and not one.flags & FIRST:
            raise OggError("does not begin with the first page of a stream")
        if last is not None and (one.serial != last.serial or one.flags & FIRST):
            raise OggError("holds more than one stream")
        if one.sequence != expected:
            raise OggError(f"lacks page {expected}")
        if bool(one.flags & CONTINUED) != (last is not None and last.goes_on):
            raise OggError(f"has a packet torn at page {expected}")
        yield one
        last, expected = one, expected + 1
    if last is None:
        raise OggError("is empty")
    if not last.flags & LAST or last.goes_on:
        raise OggError("ends early: the last page of its stream is missing")


def packets(data: bytes) -> Iterator[bytes]:
    """The packets of a file. Raises OggError."""
    begun = b""
    for one in pages(data):
        pieces = list(one.packets)
        if one.flags & CONTINUED and pieces:
            pieces[0] = begun + pieces[0]
        begun = pieces.pop() if one.goes_on else b""
        yield from pieces


def page_at(data: bytes, at: int) -> tuple[Page, int]:
    """The page at an offset, and the offset behind it. Raises OggError where it is not whole."""
    if not data.startswith(CAPTURE, at):
        raise OggError(f"is no Ogg file: there is no page at byte {at}")
    if len(data) < at + HEADER.size:
        raise OggError("ends in the middle of a page")
    _, version, flags, granule, serial, sequence, stated, segments = HEADER.unpack_from(data, at)
    if version:
        raise OggError(f"has a page of version {version}")
    begin = at + HEADER.size + segments
    lacing = data[at + HEADER.size : begin]
    end = begin + sum(lacing)
    if len(lacing) < segments or len(data) < end:
        raise OggError("ends in the middle of a page")
    blank = bytearray(data[at:end])
    blank[CHECKSUM] = bytes(4)
    if checksum(bytes(blank)) != stated:
        raise OggError(f"is damaged: the checksum of the page at byte {at} is wrong")
    pieces, start = [], begin
    for size in lacing:
        begin += size
        if size < SEGMENT:
            pieces.append(data[start:begin])
            start = begin
    goes_on = bool(lacing) and lacing[-1] == SEGMENT
    if goes_on:
        pieces.append(data[start:begin])
    return Page(flags, granule, serial, sequence, tuple(pieces), goes_on), end
