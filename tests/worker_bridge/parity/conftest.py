"""Transports on loopback, and what they carry: the cast of these tests."""

from __future__ import annotations

import pytest
from rtp_peer import LOOPBACK
from rtp_samples import OPUS, VP8, h264_codec

from worker_bridge.router import Router
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

H264 = h264_codec("4d0032", 1, **{"level-asymmetry-allowed": 1})


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
