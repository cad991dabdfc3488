"""Records of DTLS that somebody forges who sends from the client's address, and has no key, end nothing."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from tests.conftest import eventually
from tests.worker_bridge.rtp_packets import Rtp
from tests.worker_bridge.webrtc_peer import WebRtcPeer
from worker_bridge.connectivity import ListenInfo
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCodecParameters, RtpEncodingParameters, RtpParameters
from worker_bridge.webrtc_transport import WebRtcTransport

TYPES = {"change cipher spec": 20, "alert": 21, "handshake": 22, "application data": 23}  # RFC 5246 §6.2.1
DTLS_1_2 = 0xFEFD
LONGEST = 40  # bytes: above what any cipher adds to an alert
PROTECTED = 1  # the first epoch with keys
SSRC, OPUS_TYPE = 4711, 111
VOICE = RtpParameters(
    (RtpCodecParameters("audio/opus", OPUS_TYPE, 48000, channels=2),), encodings=(RtpEncodingParameters(ssrc=SSRC),)
)


def record(kind: int, length: int, *, epoch: int = PROTECTED, number: int = 7) -> bytes:
    """RFC 6347 §4.1."""
    return struct.pack("!BHHHIH", kind, DTLS_1_2, epoch, 0, number, length) + bytes(length)


@pytest.fixture(params=["client", "server"])
async def connected(router: Router, request: Any) -> AsyncIterator[tuple[WebRtcTransport, WebRtcPeer]]:
    role: Literal["client", "server"] = request.param
    transport = await router.create_webrtc_transport([ListenInfo("udp", "127.0.0.1")])
    async with WebRtcPeer.of(transport, role) as peer:
        await eventually(lambda: None if transport.connected else "it is not connected")
        yield transport, peer


async def still_heard(transport: WebRtcTransport, peer: WebRtcPeer) -> None:
    """A packet that is sent now comes behind all that was sent before from the same socket, and is counted."""
    producer = await transport.produce("audio", VOICE)
    await peer.send(bytes(Rtp(SSRC, OPUS_TYPE, 1, 960, b"voice")))

    async def why_not() -> str | None:
        stats = await producer.get_stats()
        return None if stats and stats[0]["packet_count"] else f"DTLS is {transport.dtls_state}, nothing was counted"

    await eventually(why_not)
    assert transport.dtls_state == "connected"


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
async def test_records_that_nobody_could_have_protected_end_nothing(
    connected: tuple[WebRtcTransport, WebRtcPeer], kind: int
) -> None:
    transport, peer = connected
    for length in range(LONGEST + 1):
        for epoch in (PROTECTED, PROTECTED + 1, 0xFFFF):
            await peer.ice._send(record(kind, length, epoch=epoch, number=length))
    await still_heard(transport, peer)


async def test_one_that_hides_behind_another_record_ends_nothing(
    connected: tuple[WebRtcTransport, WebRtcPeer],
) -> None:
    transport, peer = connected
    for first in (record(TYPES["handshake"], 12, epoch=0), record(TYPES["application data"], 37)):
        await peer.ice._send(first + record(TYPES["application data"], 1))
        await peer.ice._send(first + first + record(TYPES["alert"], 10))
    await still_heard(transport, peer)


async def test_records_that_say_more_or_less_than_there_is_end_nothing(
    connected: tuple[WebRtcTransport, WebRtcPeer],
) -> None:
    transport, peer = connected
    whole = record(TYPES["application data"], 37)
    for size in range(len(whole)):
        await peer.ice._send(whole[:size])
        await peer.ice._send(whole + whole[:size])
    await still_heard(transport, peer)
