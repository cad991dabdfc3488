"""What is handed over in another type than it should be: refused here, by the argument's name, and nothing is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rtp_peer import LOOPBACK
from rtp_samples import OPUS, ROUTER, microphone

from worker_bridge.errors import InvalidParameters
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.router import Router
from worker_bridge.worker import Worker


@pytest.fixture
async def plain(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK)


TRANSPORT: list[tuple[str, Callable[[Any], Awaitable[object]]]] = [
    ("rtpParameters", lambda transport: transport.produce("audio", {})),
    ("rtpParameters", lambda transport: transport.produce("audio", None)),
    ("app_data", lambda transport: transport.produce("audio", microphone(), app_data=7)),
    ("srtp_parameters", lambda transport: transport.connect(ip="127.0.0.1", port=1, srtp_parameters={})),
    ("sctpStreamParameters", lambda transport: transport.produce_data({})),
]


@pytest.mark.parametrize(("argument", "call"), TRANSPORT)
async def test_a_transport_refuses_what_is_no_such_value(
    plain: PlainTransport, router: Router, argument: str, call: Callable[[Any], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidParameters, match=f"^{argument}: expected "):
        await call(plain)
    assert not router.producers
    assert (await router.dump())["transport_ids"] == [plain.id]


async def test_a_consumer_refuses_what_are_no_layers_or_capabilities(plain: PlainTransport) -> None:
    producer = await plain.produce("audio", microphone())
    for layers in ({}, 1, "L1"):
        with pytest.raises(InvalidParameters, match=r"^preferred_layers: expected ConsumerLayers"):
            await plain.consume(producer.id, ROUTER, preferred_layers=layers)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match=r"^rtpCapabilities: expected RtpCapabilities, got dict"):
        await plain.consume(producer.id, {})  # type: ignore[arg-type]
    consumer = await plain.consume(producer.id, ROUTER)
    with pytest.raises(InvalidParameters, match=r"^preferred_layers: expected ConsumerLayers, got dict"):
        await consumer.set_preferred_layers({})  # type: ignore[arg-type]
    assert not consumer.closed


async def test_a_webrtc_transport_refuses_what_are_no_dtls_parameters(router: Router) -> None:
    transport = await router.create_webrtc_transport([LOOPBACK])
    with pytest.raises(InvalidParameters, match=r"^dtlsParameters: expected DtlsParameters, got dict"):
        await transport.connect({})  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match=r"^listen_info: expected ListenInfo, got dict"):
        await router.create_webrtc_transport([{}])  # type: ignore[list-item]


async def test_a_worker_refuses_what_are_no_codecs_and_no_app_data(worker: Worker) -> None:
    for codecs in ({}, "opus", OPUS):
        with pytest.raises(InvalidParameters, match=r"^codecs: expected a tuple"):
            await worker.create_router(codecs)  # type: ignore[arg-type]
    for app_data in (1, "x", []):
        with pytest.raises(InvalidParameters, match=r"^app_data: expected dict"):
            await worker.create_router([OPUS], app_data=app_data)  # type: ignore[arg-type]
        with pytest.raises(InvalidParameters, match=r"^app_data: expected dict"):
            async with Worker.running(app_data=app_data):  # type: ignore[arg-type]
                pass
    assert (await worker.dump())["router_ids"] == []


async def test_can_consume_is_false_for_whatever_it_is_given(router: Router, plain: PlainTransport) -> None:
    producer = await plain.produce("audio", microphone())
    assert router.can_consume(producer.id, ROUTER)
    for nonsense in (None, {}, [], 5, "caps", microphone()):
        assert not router.can_consume(producer.id, nonsense)  # type: ignore[arg-type]
        assert not router.can_consume(nonsense, ROUTER)  # type: ignore[arg-type]
