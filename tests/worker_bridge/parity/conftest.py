"""Transports on loopback, and what they carry: the cast of these tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, VP8, h264_codec
from worker_bridge.router import Router
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

LONGEST_S = 30.0
H264 = h264_codec("4d0032", 1, **{"level-asymmetry-allowed": 1})


@pytest.fixture(autouse=True)
async def no_waiting_for_ever() -> AsyncIterator[None]:
    """An event that does not come fails the test that waits for it, and holds up no other."""
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(LONGEST_S, lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    yield
    alarm.cancel()


@pytest.fixture
async def router(worker: Worker) -> Router:
    return await worker.create_router([OPUS, VP8, H264])


@pytest.fixture
async def sender(router: Router) -> WebRtcTransport:
    """A transport that producers are on."""
    return await router.create_webrtc_transport([LOOPBACK])


@pytest.fixture
async def receiver(router: Router) -> WebRtcTransport:
    """A transport that consumers are on."""
    return await router.create_webrtc_transport([LOOPBACK])
