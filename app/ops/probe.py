"""A probe of one worker: does an RTP packet that goes in by a plain transport come out by another one?

Everything is made for the probe and closed after it. The sockets are on loopback, wherever media listens.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time

from app.media.codecs import codecs_of
from worker_bridge.connectivity import ListenInfo
from worker_bridge.errors import BridgeError
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.router import Router
from worker_bridge.rtp import RtcpParameters, RtpCodecParameters, RtpEncodingParameters, RtpParameters
from worker_bridge.worker import Worker

PROVEN_WITHIN_S = 2.0
SEND_EVERY_S = 0.2  # until one comes: a socket whose buffer is full loses packets even on loopback
HERE = ListenInfo("udp", "127.0.0.1")
OPUS = RtpCodecParameters("audio/opus", 111, 48000, 2)
HEADER = struct.Struct("!BBHII")  # RFC 3550 §5.1: version 2, payload type, sequence number, time, SSRC
VERSION_2 = 0x80


class ProbeFailed(Exception):
    """The worker did not forward; the text says what went wrong."""


class Echo(asyncio.DatagramProtocol):
    """The socket at the far end of both transports; ``heard`` is done when the packet has come back."""

    def __init__(self, payload: bytes) -> None:
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._payload = payload

    def datagram_received(self, packet: bytes, _: object) -> None:
        if packet.endswith(self._payload) and not self.heard.done():
            self.heard.set_result(None)


async def probe_forwarding(worker: Worker) -> float:
    """How many seconds a packet took through the worker. Raises ProbeFailed where none came out in time."""
    try:
        async with asyncio.timeout(PROVEN_WITHIN_S):
            router = await worker.create_router(codecs_of({"audio"}))
            try:
                return await forwarded(router)
            finally:
                router.close()
    except TimeoutError:
        raise ProbeFailed(f"no packet came out within {PROVEN_WITHIN_S:.0f} s") from None
    except (BridgeError, OSError) as error:
        raise ProbeFailed(str(error)) from error


async def forwarded(router: Router) -> float:
    """Send packets until one comes back. Returns the seconds that it was under way."""
    payload = secrets.token_bytes(20)
    loop = asyncio.get_running_loop()
    socket, echo = await loop.create_datagram_endpoint(lambda: Echo(payload), local_addr=(HERE.ip, 0))
    try:
        way_in, way_out = await to_us(router, socket), await to_us(router, socket)
        ssrc = secrets.randbits(32)
        encodings = (RtpEncodingParameters(ssrc=ssrc),)
        producer = await way_in.produce("audio", RtpParameters((OPUS,), encodings=encodings, rtcp=RtcpParameters("p")))
        await way_out.consume(producer.id, router.rtp_capabilities)
        began, number = time.monotonic(), 0
        while not echo.heard.done():
            packet = HEADER.pack(VERSION_2, OPUS.payload_type, number, 0, ssrc) + payload
            socket.sendto(packet, (HERE.ip, way_in.tuple.local_port))
            number += 1
            await asyncio.wait([echo.heard], timeout=SEND_EVERY_S)
        return time.monotonic() - began
    finally:
        socket.close()


async def to_us(router: Router, socket: asyncio.DatagramTransport) -> PlainTransport:
    """A plain transport whose far end is our socket."""
    transport = await router.create_plain_transport(HERE)
    await transport.connect(ip=HERE.ip, port=socket.get_extra_info("sockname")[1])
    return transport
