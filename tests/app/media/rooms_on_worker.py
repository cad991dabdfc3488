"""Rooms on a real worker, and what parties ask of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.media.codecs import codecs_of
from app.media.party_objects import RoomLimits
from app.media.room import Room
from app.media.rooms import Rooms
from schemas.consumer import ConsumeRequest
from schemas.producer import ProduceRequest
from worker_bridge.connectivity import ListenInfo
from worker_bridge.native import NativeWorker
from worker_bridge.pool import Slot
from worker_bridge.rtp import RtpCodecParameters, RtpEncodingParameters, RtpParameters
from worker_bridge.worker import Worker

OPUS = RtpCodecParameters("audio/opus", 111, 48000, 2)
LIMITS = RoomLimits(transports_per_direction=1, producers_per_party=1)


@asynccontextmanager
async def rooms_on_worker(native: NativeWorker, index: dict[str, Room]) -> AsyncIterator[tuple[Rooms, Slot]]:
    """Rooms of audio on a worker of their own, and the slot that it is in."""
    async with worker_in_slot(native) as slot:
        yield Rooms(lambda: slot, codecs_of({"audio"}), LIMITS, index), slot


@asynccontextmanager
async def worker_in_slot(native: NativeWorker, index: int = 0) -> AsyncIterator[Slot]:
    async with Worker.running(native) as worker:
        yield Slot(index, worker, await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1")]))


def microphone(transport_id: str, ssrc: int = 1, mid: str = "0") -> ProduceRequest:
    """A party's request to send; another ``ssrc`` or ``mid`` is another stream."""
    return ProduceRequest(
        "call", transport_id, "audio", RtpParameters((OPUS,), (), (RtpEncodingParameters(ssrc=ssrc),), mid=mid)
    )


def listening(transport_id: str, producer_id: str) -> ConsumeRequest:
    """A party's request to receive, without capabilities of its own."""
    return ConsumeRequest("call", transport_id, producer_id)
