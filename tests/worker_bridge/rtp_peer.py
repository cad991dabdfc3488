"""The far end of a plain transport: a UDP socket on loopback that sends and receives RTP (RFC 3550 §5.1)."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NamedTuple

from worker_bridge.connectivity import ListenInfo, TransportTuple

LOOPBACK = ListenInfo("udp", "127.0.0.1")
VERSION_2 = 0x80
MARKER = 0x80
RTCP_TYPES = range(192, 224)  # what an RTP packet's second byte never is: RFC 5761 §4
HEADER = struct.Struct("!BBHII")
FRAME_TICKS = 960  # 20 ms of Opus at its clock rate of 48 kHz
PACKET_LIMIT = 2048
HAS_EXTENSION = 0x10
ONE_BYTE_EXTENSIONS = b"\xbe\xde\x00\x01"  # and one word of them: RFC 8285 §4.2
SPEECH = 0x80  # the V bit: RFC 6464 §3


class Rtp(NamedTuple):
    payload_type: int
    sequence_number: int
    ssrc: int
    payload: bytes


class RtpPeer:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((LOOPBACK.ip, 0))
        self._next = 1000  # the sequence number to come

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        self._socket.close()

    def send(
        self,
        to: TransportTuple,
        payload: bytes = b"voice",
        *,
        ssrc: int,
        payload_type: int,
        level: int | None = None,
    ) -> int:
        """Send one packet, with its audio ``level`` in dBov as header extension 1; returns its sequence number."""
        number = self._next
        self._next += 1
        first = VERSION_2 if level is None else VERSION_2 | HAS_EXTENSION
        header = HEADER.pack(first, payload_type, number, number * FRAME_TICKS, ssrc)
        if level is not None:
            header += ONE_BYTE_EXTENSIONS + bytes([1 << 4, SPEECH | -level, 0, 0])
        self._socket.sendto(header + payload, (to.local_address, to.local_port))
        return number

    async def receive(self) -> Rtp:
        """The next RTP packet; RTCP is passed over."""
        loop = asyncio.get_running_loop()
        while True:
            packet = await loop.sock_recv(self._socket, PACKET_LIMIT)
            if packet[1] not in RTCP_TYPES:
                first, second, number, _, ssrc = HEADER.unpack_from(packet)
                extension = packet[HEADER.size :] if first & HAS_EXTENSION else b""
                skipped = HEADER.size + (4 + 4 * int.from_bytes(extension[2:4], "big") if extension else 0)
                return Rtp(second & ~MARKER, number, ssrc, packet[skipped:])
