"""RTP and RTCP packets, byte by byte: RTP (RFC 3550 §5.1) with one-byte header extensions (RFC 8285), VP8 and VP9
payload descriptors (RFC 7741, RFC 9628), sender reports (RFC 3550 §6.4), NACK, PLI and FIR (RFC 4585, RFC 5104)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

VERSION_2, MARKER, HAS_EXTENSION = 0x80, 0x80, 0x10
HEADER = struct.Struct("!BBHII")
ONE_BYTE = 0xBEDE
SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 200, 201, 202, 205, 206
NACK, PLI, FIR = (TRANSPORT_FEEDBACK, 1), (PAYLOAD_FEEDBACK, 1), (PAYLOAD_FEEDBACK, 4)
TRANSPORT_CC, REMB = (TRANSPORT_FEEDBACK, 15), (PAYLOAD_FEEDBACK, 15)
RTCP_TYPES = range(192, 224)  # what an RTP packet's second byte never is: RFC 5761 §4
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


@dataclass(frozen=True)
class Rtp:
    ssrc: int
    payload_type: int
    sequence_number: int
    timestamp: int
    payload: bytes = b""
    marker: bool = False
    extensions: Mapping[int, bytes] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        first = VERSION_2 | (HAS_EXTENSION if self.extensions else 0)
        second = self.payload_type | (MARKER if self.marker else 0)
        header = HEADER.pack(first, second, self.sequence_number & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc)
        return header + self._extension_block() + self.payload

    def _extension_block(self) -> bytes:
        if not self.extensions:
            return b""
        elements = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in self.extensions.items())
        elements += bytes(-len(elements) % 4)
        return struct.pack("!HH", ONE_BYTE, len(elements) // 4) + elements

    @classmethod
    def parse(cls, packet: bytes) -> Rtp:
        first, second, number, timestamp, ssrc = HEADER.unpack_from(packet)
        at, extensions = HEADER.size + 4 * (first & 0x0F), {}
        if first & HAS_EXTENSION:
            end = at + 4 + 4 * struct.unpack_from("!H", packet, at + 2)[0]
            extensions = dict(_elements(packet[at + 4 : end]))
            at = end
        padding = packet[-1] if first & 0x20 else 0
        payload = packet[at : len(packet) - padding]
        return cls(ssrc, second & 0x7F, number, timestamp, payload, bool(second & MARKER), extensions)


def _elements(block: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(block):
        if block[at] == 0:  # padding
            at += 1
            continue
        size = (block[at] & 0x0F) + 1
        yield block[at] >> 4, block[at + 1 : at + 1 + size]
        at += 1 + size


# ---------------------------------------------------------------- video payloads


def vp8(text: bytes, *, key: bool, picture: int, temporal_layer: int = 0) -> bytes:
    """A whole VP8 frame in one packet. ``picture``: the 15 bits by which frames are counted."""
    number = bytes([0x80 | picture >> 8 & 0x7F, picture & 0xFF])
    layer = bytes([picture & 0xFF, temporal_layer << 6 | 0x20])
    return b"\x90\xe0" + number + layer + bytes([0x10 if key else 0x11]) + text


def vp9(text: bytes, *, key: bool, picture: int, spatial_layer: int, temporal_layer: int = 0) -> bytes:
    """One spatial layer of a VP9 picture in one packet; ``key``: of a picture that refers to no other."""
    start = 0x80 | (0 if key else 0x40) | 0x20 | 0x08 | 0x04  # I, P, L, B, E
    layers = temporal_layer << 5 | 0x10 | spatial_layer << 1 | (spatial_layer > 0)
    return bytes([start, 0x80 | picture >> 8 & 0x7F, picture & 0xFF, layers, picture & 0xFF]) + text


# ---------------------------------------------------------------- RTCP


@dataclass(frozen=True)
class Feedback:
    """One RTCP packet of a compound one: its type, its count or format, and what comes after the first word."""

    type: int
    format: int
    body: bytes

    @property
    def kind(self) -> tuple[int, int]:
        return self.type, self.format

    @property
    def media_ssrc(self) -> int:
        """Of a feedback message: the stream that it is about."""
        return int.from_bytes(self.body[4:8], "big")

    @property
    def lost(self) -> list[int]:
        """Of a NACK: the sequence numbers that are asked for."""
        items = struct.iter_unpack("!HH", self.body[8:])
        return [
            first + offset for first, mask in items for offset in range(17) if offset == 0 or mask >> offset - 1 & 1
        ]


def is_rtcp(packet: bytes) -> bool:
    return len(packet) > 1 and packet[1] in RTCP_TYPES


def parse_rtcp(packet: bytes) -> Iterator[Feedback]:
    while packet:
        first, kind, words = struct.unpack_from("!BBH", packet)
        yield Feedback(kind, first & 0x1F, packet[4 : 4 + 4 * words])
        packet = packet[4 + 4 * words :]


def rtcp(kind: int, form: int, body: bytes) -> bytes:
    return struct.pack("!BBH", VERSION_2 | form, kind, len(body) // 4) + body


def sender_report(ssrc: int, at: float, timestamp: int, packets: int = 1, octets: int = 1) -> bytes:
    """``at``: seconds since 1970 of the moment that ``timestamp`` stands for."""
    seconds, fraction = divmod(at + NTP_EPOCH, 1)
    body = struct.pack("!IIIIII", ssrc, int(seconds), int(fraction * 2**32), timestamp & 0xFFFFFFFF, packets, octets)
    return rtcp(SENDER_REPORT, 0, body)


def nack(media_ssrc: int, first: int, mask: int = 0) -> bytes:
    return rtcp(*NACK, struct.pack("!IIHH", 1, media_ssrc, first, mask))


def pli(media_ssrc: int) -> bytes:
    return rtcp(*PLI, struct.pack("!II", 1, media_ssrc))


def fir(media_ssrc: int, number: int = 0) -> bytes:
    return rtcp(*FIR, struct.pack("!IIIB3x", 1, 0, media_ssrc, number))


def transport_feedback(media_ssrc: int, first: int, count: int, number: int) -> bytes:
    """That ``count`` packets from transport-wide number ``first`` on have come, a millisecond apart; ``number`` counts
    these reports (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1)."""
    fixed = struct.pack("!IIHHI", 1, media_ssrc, first & 0xFFFF, count, number & 0xFF)  # reference time 0
    chunk = struct.pack("!H", 1 << 13 | count)  # a run of packets with small deltas
    deltas = bytes([4]) * count  # of 250 us
    body = fixed + chunk + deltas
    return rtcp(*TRANSPORT_CC, body + bytes(-len(body) % 4))
