"""The echo room with a visitor: an aiortc party that measures what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from tests.examples.programs import Running, started
from voiceplane.client.handler import _gather_on_loopback
from voiceplane.client.tone import FRAMES_PER_SECOND, Tone, ToneReceiver

PRINT = ":".join(["AB"] * 32)  # of a certificate


@pytest.fixture
async def room() -> AsyncIterator[Running]:
    async with started("echo_room.py", "--media-ip", "127.0.0.1") as program:
        yield program
        await program.interrupt()


async def url_of(room: Running) -> str:
    return (await room.says("echo room")).partition(": ")[2]


async def test_a_visitor_hears_itself(room: Running):
    url = await url_of(room)
    async with visitor(url, hz=500) as receiver:
        await receiver.heard(FRAMES_PER_SECOND)
        receiver.forget()
        await receiver.heard(2 * FRAMES_PER_SECOND)
        assert receiver.dominant_hz() == pytest.approx(500, abs=5)
        await room.says("visitor")
    assert (await room.says("visitor")).endswith("has left")


@pytest.mark.parametrize(
    ("payload_type", "reason"),
    [("999", "preferredPayloadType"), ("many", "The offer has no line like")],
)
async def test_an_offer_that_can_not_be_is_refused_with_a_reason(room: Running, payload_type: str, reason: str):
    offer = f"a=mid:0\na=rtpmap:{payload_type} opus/48000/2\na=ssrc:1 cname:me\na=fingerprint:sha-256 {PRINT}\n"
    url = await url_of(room)
    async with aiohttp.ClientSession() as http, http.post(f"{url}/offer", data=offer) as answer:
        assert answer.status == 400
        assert reason in await answer.text()


@asynccontextmanager
async def visitor(url: str, hz: float) -> AsyncIterator[ToneReceiver]:
    """Sings to the room, and listens."""
    peer, tone, receiver = RTCPeerConnection(RTCConfiguration(iceServers=[])), Tone(hz), ToneReceiver()
    sender = peer.addTrack(tone)
    _gather_on_loopback(sender.transport.transport._connection)
    listening: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: listening.append(asyncio.create_task(receiver.listen(track), name="receiver")))
    try:
        await peer.setLocalDescription(await peer.createOffer())
        async with aiohttp.ClientSession() as http, http.post(f"{url}/offer", data=peer.localDescription.sdp) as answer:
            assert answer.status == 200, await answer.text()
            await peer.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        yield receiver
    finally:
        tone.stop()
        await peer.close()
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
