"""The far end of a plain transport: a UDP socket on loopback that sends and receives RTP and RTCP."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from tests.worker_bridge.rtp_packets import Feedback, Rtp, is_rtcp, parse_rtcp
from worker_bridge.connectivity import ListenInfo, TransportTuple

LOOPBACK = ListenInfo("udp", "127.0.0.1")
FRAME_TICKS = 960  # 20 ms of Opus at its clock rate of 48 kHz
PACKET_LIMIT = 2048
LEVEL_ID = 1  # the header extension that `voice()` has for the audio level: RFC 6464
SPEECH = 0x80  # its V bit


class RtpPeer:
    def __init__(self) -> None:
        self.feedback: list[Feedback] = []  # what `drain` took of RTCP
        self.media: list[Rtp] = []  # ... and of RTP
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
        """Send one packet, with its audio ``level`` in dBov if there is one; returns its sequence number."""
        number = self._next
        self._next += 1
        extensions = {} if level is None else {LEVEL_ID: bytes([SPEECH | -level])}
        self.send_packet(to, bytes(Rtp(ssrc, payload_type, number, number * FRAME_TICKS, payload, False, extensions)))
        return number

    def send_packet(self, to: TransportTuple, packet: bytes) -> None:
        self._socket.sendto(packet, (to.local_address, to.local_port))

    async def receive(self) -> Rtp:
        """The next RTP packet; RTCP is passed over."""
        while is_rtcp(packet := await self.receive_packet()):
            pass
        return Rtp.parse(packet)

    async def receive_packet(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._socket, PACKET_LIMIT)

    def drain(self) -> None:
        """Sort what has come so far into ``media`` and ``feedback``."""
        with suppress(BlockingIOError):
            while packet := self._socket.recv(PACKET_LIMIT):
                if is_rtcp(packet):
                    self.feedback.extend(parse_rtcp(packet))
                else:
                    self.media.append(Rtp.parse(packet))
