"""What is handed over in another type than it should be: refused here, by the argument's name, and nothing is left."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, ROUTER, microphone
from worker_bridge.consumer import ConsumerLayers
from worker_bridge.errors import BridgeError, InvalidParameters
from worker_bridge.event_stream import EventStream
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.resource import Resource
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions
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


NONSENSE = ({}, {"a": 1}, [{}], 5.5, b"x", object(), "\ud800", 10**30)
PASSED_ON = {"app_data"}  # any dict is
WITHOUT = {
    "close",
    "handle_webrtc_transport",
    "mirror_pause",
    "on_closed",
    "on_rtp",
    "on_trace",
    "remove_from_on_close",
}


def arguments_of(method: Callable[..., Any]) -> Iterator[str]:
    yield from (name for name in inspect.signature(method).parameters if name not in PASSED_ON)


async def everything(worker: Worker, router: Router) -> dict[Any, dict[str, Any]]:
    """One object of each class, and arguments by which its methods could be called."""
    plain, direct = await router.create_plain_transport(LOOPBACK), await router.create_direct_transport()
    webrtc = await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())
    pipe = await router.create_pipe_transport()
    producer = await plain.produce("audio", microphone())
    consumer = await webrtc.consume(producer.id, ROUTER)
    chat = await direct.produce_data()
    words = await webrtc.consume_data(chat.id)
    levels = await router.create_audio_level_observer()
    server = await worker.create_webrtc_server([LOOPBACK])
    right = {"producer_id": producer.id, "data_producer_id": chat.id, "rtp_capabilities": ROUTER, "kind": "audio"}
    right |= {"rtp_parameters": microphone(), "name": "close", "layers": ConsumerLayers(0), "listen_info": LOOPBACK}
    right |= {"listen": server, "listen_infos": [LOOPBACK], "payload": "x", "router": await worker.create_router()}
    right |= {"ip": "127.0.0.1", "port": 9, "dtls_parameters": webrtc.dtls_parameters, "packet": b"x" * 12}
    right |= {"bitrate": 0, "priority": 1, "threshold": 1, "subchannel": 1, "subchannels": [1]}
    objects = (worker, router, plain, direct, webrtc, pipe, producer, consumer, chat, words, levels, server)
    return dict.fromkeys(objects, right)


async def call(method: Callable[..., Any], right: dict[str, Any], argument: str, nonsense: object) -> None:
    """Call ``method`` with what it needs and ``nonsense`` for one argument. Whatever comes of it is closed."""
    parameters = inspect.signature(method).parameters
    if parameters[argument].kind is inspect.Parameter.VAR_POSITIONAL:
        await method(nonsense)
        return
    needed = {name for name, one in parameters.items() if one.default is one.empty}
    if method.__name__ == "pipe_to_router" and argument != "data_producer_id":
        needed |= {"producer_id"}
    given = {name: right[name] for name in needed - {argument}} | {argument: nonsense}
    made = method(**given)
    made = await made if inspect.isawaitable(made) else made
    if isinstance(made, Resource | EventStream):
        made.close()


async def test_nonsense_for_any_argument_is_refused_or_taken_but_no_accident(worker: Worker, router: Router) -> None:
    wrong: list[str] = []
    for one, right in (await everything(worker, router)).items():
        methods = inspect.getmembers(one, inspect.ismethod)
        for name, method in [pair for pair in methods if pair[0][0] != "_" and pair[0] not in WITHOUT]:
            for argument in arguments_of(method):
                for nonsense in NONSENSE:
                    try:
                        await call(method, right, argument, nonsense)
                    except BridgeError:
                        pass
                    except Exception as error:
                        wrong.append(f"{type(one).__name__}.{name}({argument}={nonsense!a}): {error!r}")
    assert wrong == []
    assert not worker.closed
