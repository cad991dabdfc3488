"""Opus with more than two channels: the streams and their coupling have to be the router's."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import codec
from worker_bridge.errors import Unsupported
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities, RtpCodecCapability, RtpParameters, parameters
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

LAYOUT = {"channel_mapping": "0,4,1,2,3,5", "num_streams": 4, "coupled_streams": 2}
SURROUND = RtpCodecCapability("audio", "audio/multiopus", 48000, channels=6, parameters=parameters(LAYOUT))
DEVICE = RtpCapabilities((replace(SURROUND, preferred_payload_type=100),))


def offer(**changed: int) -> RtpParameters:
    layout = parameters({**LAYOUT, "useinbandfec": 1, **changed})
    return RtpParameters((codec("audio/multiopus", 0, 48000, channels=6, parameters=layout),), mid="AUDIO")


@pytest.fixture
async def router(worker: Worker) -> Router:
    return await worker.create_router([SURROUND])


@pytest.fixture
async def transport(router: Router) -> WebRtcTransport:
    return await router.create_webrtc_transport([LOOPBACK])


async def test_surround_sound_goes_through(router: Router, transport: WebRtcTransport) -> None:
    producer = await transport.produce("audio", offer())
    assert producer.rtp_parameters.codecs == offer().codecs
    assert router.can_consume(producer.id, DEVICE)
    consumer = await transport.consume(producer.id, DEVICE)
    assert consumer.rtp_parameters.codecs == (replace(offer().codecs[0], payload_type=100),)


@pytest.mark.parametrize("changed", [{"num_streams": 2}, {"coupled_streams": 1}])
async def test_another_layout_of_streams_is_another_codec(transport: WebRtcTransport, changed: dict[str, int]) -> None:
    with pytest.raises(Unsupported):
        await transport.produce("audio", offer(**changed))


async def test_another_number_of_channels_is_another_codec(router: Router, transport: WebRtcTransport) -> None:
    producer = await transport.produce("audio", offer())
    eight = RtpCapabilities((replace(DEVICE.codecs[0], channels=8),))
    assert not router.can_consume(producer.id, eight)
    with pytest.raises(Unsupported):
        await transport.consume(producer.id, eight)
