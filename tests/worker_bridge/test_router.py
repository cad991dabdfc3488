"""Routers on the real worker: what they make, who can hear whom, and options that never reach the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, PCMU, VP8, camera, changed, microphone
from worker_bridge.connectivity import ListenInfo
from worker_bridge.errors import InvalidMessage, InvalidParameters, RequestRefused
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.worker import Worker

TCP = ListenInfo("tcp", "127.0.0.1")


async def test_a_router_knows_what_it_can_route(router: Router) -> None:
    kinds = [codec.mime_type for codec in router.rtp_capabilities.codecs]
    assert kinds == ["audio/opus", "video/VP8", "video/rtx"]
    assert (await router.dump())["id"] == router.id


async def test_new_transports_are_told_of_and_are_in_the_worker(worker: Worker, router: Router) -> None:
    made: list[object] = []
    router.events.on("newtransport", made.append)
    server = await worker.create_webrtc_server([LOOPBACK, TCP])
    transports = [
        await router.create_webrtc_transport(server),
        await router.create_webrtc_transport([LOOPBACK, TCP]),
        await router.create_plain_transport(LOOPBACK),
    ]
    assert made == transports
    assert set((await router.dump())["transport_ids"]) == {transport.id for transport in transports}
    assert (await server.dump())["web_rtc_transport_ids"] == [transports[0].id]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda router: router.create_webrtc_transport([]), InvalidParameters),
        (lambda router: router.create_webrtc_transport([LOOPBACK], ice_consent_timeout_s=300), InvalidMessage),
        (lambda router: router.create_webrtc_transport([LOOPBACK], ice_consent_timeout_s=-1), InvalidMessage),
        (lambda router: router.create_webrtc_transport([ListenInfo("udp", "127.0.0.1", port=70000)]), InvalidMessage),
        (lambda router: router.create_plain_transport(TCP), InvalidParameters),
        (lambda router: router.create_plain_transport(LOOPBACK, srtp_crypto_suite="ROT13"), InvalidMessage),
        (lambda router: router.create_webrtc_transport([ListenInfo("udp", "no address")]), RequestRefused),
        (lambda router: router.create_plain_transport(ListenInfo("udp", "203.0.113.1")), RequestRefused),
    ],
)
async def test_what_cannot_be_made_leaves_the_router_as_it_was(
    router: Router, make: Callable[[Router], Awaitable[object]], error: type[Exception]
) -> None:
    made: list[object] = []
    router.events.on("newtransport", made.append)
    with pytest.raises(error):
        await make(router)
    assert (await router.dump())["transport_ids"] == []
    assert not router._children
    assert not made


# ---------------------------------------------------------------- who can hear whom


@pytest.fixture
async def gateway(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK, comedia=True)


async def test_what_can_be_consumed_can_be_consumed(worker: Worker, router: Router, gateway: PlainTransport) -> None:
    audio = await gateway.produce("audio", microphone())
    video = await gateway.produce("video", camera())
    listener_of_calls = (await worker.create_router([OPUS])).rtp_capabilities
    assert router.can_consume(audio.id, router.rtp_capabilities)
    assert router.can_consume(video.id, router.rtp_capabilities)
    assert router.can_consume(audio.id, listener_of_calls)
    assert not router.can_consume(video.id, listener_of_calls)
    audio.close()
    assert not router.can_consume(audio.id, router.rtp_capabilities)


BROKEN: list[Any] = [
    RtpCapabilities(),
    changed(RtpCapabilities((OPUS,)), "codecs.0.preferred_payload_type", 300),
    changed(RtpCapabilities((OPUS,)), "codecs.0.mime_type", "opus"),
    changed(RtpCapabilities((OPUS,)), "codecs.0.clock_rate", "fast"),
    RtpCapabilities((PCMU, VP8)),
]


@pytest.mark.parametrize("capabilities", BROKEN)
async def test_can_consume_never_raises(router: Router, gateway: PlainTransport, capabilities: Any) -> None:
    producer = await gateway.produce("audio", voice(1))
    assert router.can_consume(producer.id, capabilities) is False
    assert router.can_consume("nobody", capabilities) is False
    assert router.can_consume("nobody", router.rtp_capabilities) is False


async def test_routers_do_not_hear_each_other(worker: Worker, router: Router, gateway: PlainTransport) -> None:
    producer = await gateway.produce("audio", voice(1))
    other = await worker.create_router([OPUS, VP8])
    assert not other.can_consume(producer.id, other.rtp_capabilities)
