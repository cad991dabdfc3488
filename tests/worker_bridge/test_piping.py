"""Routers joined by pipes, in one worker and across two: media, messages, pausing and ends arrive on the far side."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_samples import OPUS, VP8, camera, changed, simulcast
from tests.worker_bridge.test_direct_transport import SSRC, rtp
from worker_bridge.connectivity import ListenInfo
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.errors import InvalidParameters, InvalidRequest, NotFound, RequestRefused, ResourceClosed
from worker_bridge.native import NativeWorker
from worker_bridge.pipe_transport import PipeTransport
from worker_bridge.piping import PipeOptions
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.worker import Worker

OPTIONS = {
    "plain": PipeOptions(),
    "encrypted": PipeOptions(enable_srtp=True, enable_rtx=True),
    "everywhere": PipeOptions(ListenInfo("udp", "0.0.0.0", "not.resolvable.example")),
}


@pytest.fixture
async def other_worker(native_worker: NativeWorker) -> AsyncIterator[Worker]:
    async with Worker.running(native_worker) as running:
        yield running


@pytest.fixture
async def far(other_worker: Worker) -> Router:
    return await other_worker.create_router([OPUS, VP8])


@pytest.fixture
async def direct(router: Router) -> DirectTransport:
    return await router.create_direct_transport()


def pipes(router: Router) -> list[PipeTransport]:
    return [child for child in router._children.values() if isinstance(child, PipeTransport)]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_sound_is_carried_to_another_worker(
    router: Router, far: Router, direct: DirectTransport, options: PipeOptions
) -> None:
    producer = await direct.produce("audio", voice(SSRC), app_data={"who": "alice"})
    piped = await router.pipe_to_router(far, producer_id=producer.id, options=options)
    assert piped.pipe_producer.id == producer.id
    assert piped.pipe_producer.app_data is producer.app_data
    assert (piped.pipe_consumer.type, piped.pipe_consumer.kind) == ("pipe", "audio")
    assert (pipes(router)[0].srtp_parameters is not None) is options.enable_srtp
    listener = await far.create_direct_transport()
    consumer = await listener.consume(producer.id, far.rtp_capabilities)
    packets = consumer.events_of("rtp")
    for number in range(1, 20):
        producer.send(rtp(number, b"voice %d" % number))
    assert (await anext(packets)).endswith(b"voice 1")
    assert (await anext(packets)).endswith(b"voice 2")
    await piped.pipe_consumer.request_key_frame()  # which audio has not, but asking does no harm


async def test_messages_are_carried_over_sctp(router: Router, far: Router, direct: DirectTransport) -> None:
    data_producer = await direct.produce_data(label="chat")
    piped = await router.pipe_to_router(far, data_producer_id=data_producer.id)
    assert piped.pipe_data_producer.label == "chat"
    assert piped.pipe_data_consumer.sctp_stream_parameters == SctpStreamParameters(0, ordered=True)
    ours = pipes(router)[0]
    if ours.sctp_state != "connected":
        await ours.wait_for("sctpstatechange", lambda state: state == "connected")
    assert ours.sctp_negotiated_capabilities is not None
    assert ours.sctp_negotiated_capabilities.negotiated_max_outbound_streams > 1000
    assert ours.sctp_parameters is not None
    assert ours.sctp_parameters.max_message_size == SctpOptions().max_receive_message_size
    listener = await far.create_direct_transport()
    messages = (await listener.consume_data(data_producer.id)).events_of("message")
    for message in ("one", "", b"", b"\0" * 100_000):
        data_producer.send(message)
    received = [await anext(messages) for _ in range(4)]
    assert [message.payload for message in received] == [b"one", b"", b"", b"\0" * 100_000]
    assert await piped.pipe_data_consumer.send("ours") >= 0
    assert (await anext(messages)).text == "ours"
    assert await piped.pipe_data_consumer.get_buffered_amount() == 0
    await piped.pipe_data_consumer.set_buffered_amount_low_threshold(5)
    dump = await piped.pipe_data_consumer.dump()
    assert (dump["type"], dump["buffered_amount_low_threshold"]) == ("sctp", 5)


async def test_streams_are_given_back(router: Router, far: Router, direct: DirectTransport) -> None:
    data_producer = await direct.produce_data()
    first = await router.pipe_to_router(far, data_producer_id=data_producer.id)
    ours = pipes(router)[0]
    streams = ours._streams
    assert streams._taken == {0}
    with pytest.raises(RequestRefused):
        await far.create_pipe_transport(ListenInfo("udp", "10.255.255.1"))
    consumers = [await ours.consume_data(data_producer.id) for _ in range(3)]
    assert streams._taken == {0, 1, 2, 3}
    consumers[1].close()
    with pytest.raises(InvalidParameters):
        await ours.consume_data(data_producer.id, max_retransmits=1, max_packet_life_time=1)
    pending = asyncio.ensure_future(ours.consume_data(data_producer.id))
    await asyncio.sleep(0)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert streams._taken == {0, 1, 3}
    unreliable = await ours.consume_data(data_producer.id, max_retransmits=0)
    assert unreliable.sctp_stream_parameters == SctpStreamParameters(5, ordered=False, max_retransmits=0)
    data_producer.close()
    await eventually(lambda: streams._taken and f"{streams._taken} are taken")
    assert first.pipe_data_producer.closed


async def test_what_closes_across_a_pipe_says_so(
    router: Router, far: Router, direct: DirectTransport, other_worker: Worker
) -> None:
    producer, chat = await direct.produce("audio", voice(SSRC)), await direct.produce_data()
    consumer, twin = await router.pipe_to_router(far, producer_id=producer.id)
    data_consumer, data_twin = await router.pipe_to_router(far, data_producer_id=chat.id)
    producer.close()
    await eventually(lambda: None if twin.closed else "the twin is open")
    assert (consumer.close_reason, twin.close_reason) == (CloseReason.PRODUCER_CLOSED, CloseReason.PIPE_CLOSED)
    data_twin.close()
    assert data_consumer.close_reason is CloseReason.PIPE_CLOSED
    [ours], [theirs] = pipes(router), pipes(far)
    assert (await ours.dump())["consumer_ids"] == (await theirs.dump())["producer_ids"] == []
    theirs.close()
    assert (theirs.close_reason, ours.close_reason) == (CloseReason.REQUESTED, CloseReason.PIPE_CLOSED)
    assert ours.id not in (await router.dump())["transport_ids"], "the worker knows it, too"


async def test_what_was_piped_to_a_worker_that_died_says_so(
    router: Router, far: Router, direct: DirectTransport, other_worker: Worker
) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    consumer, _ = await router.pipe_to_router(far, producer_id=producer.id)
    [ours] = pipes(router)
    os.kill(other_worker.pid, signal.SIGKILL)
    await other_worker.wait_gone()
    assert {ours.close_reason, consumer.close_reason} == {CloseReason.WORKER_DIED}
    assert not producer.closed
    assert (await router.dump())["transport_ids"] == [direct.id]


async def test_pausing_is_mirrored(router: Router, far: Router, direct: DirectTransport) -> None:
    producer = await direct.produce("audio", voice(SSRC), paused=True)
    _, piped = await router.pipe_to_router(far, producer_id=producer.id)
    assert piped.paused
    resumed = piped.wait_for("resume")
    await producer.resume()
    await resumed
    assert (await piped.dump())["paused"] is False
    paused = piped.wait_for("pause")
    await producer.pause()
    await paused
    assert (await piped.dump())["paused"] is True


@pytest.mark.parametrize("closing", ["producer", "pipe_producer", "pipe_transport", "router", "worker"])
async def test_ends_are_mirrored(
    worker: Worker, other_worker: Worker, router: Router, far: Router, direct: DirectTransport, closing: str
) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    consumer, piped = await router.pipe_to_router(far, producer_id=producer.id)
    ends = [consumer.wait_for("close"), piped.wait_for("close")]
    match closing:
        case "producer":
            producer.close()
        case "pipe_producer":
            piped.close()
        case "pipe_transport":
            pipes(far)[0].close()
        case "router":
            router.close()
        case "worker":
            os.kill(worker.pid, signal.SIGKILL)
    await asyncio.gather(*ends)
    assert len(pipes(far)) == (1 if closing in ("producer", "pipe_producer") else 0)
    assert (router.id in far._pipes) is (closing not in ("router", "worker"))
    if closing in ("pipe_producer", "pipe_transport"):
        assert not producer.closed
        again = await router.pipe_to_router(far, producer_id=producer.id)
        assert again.pipe_producer.id == producer.id
    inside = (await other_worker.dump())["channel_message_handlers"]["channel_request_handlers"]
    assert set(inside) == {far.id, *far._children, *far.producers}


async def test_one_pipe_serves_all_in_both_directions(router: Router, far: Router, direct: DirectTransport) -> None:
    there = await far.create_direct_transport()
    ours = [await direct.produce("audio", voice(ssrc)) for ssrc in (1, 2, 3)]
    theirs = await there.produce("audio", voice(4))
    await asyncio.gather(
        *(router.pipe_to_router(far, producer_id=one.id) for one in ours),
        far.pipe_to_router(router, producer_id=theirs.id),
    )
    assert (len(pipes(router)), len(pipes(far))) == (1, 1)
    assert far.producers.keys() == router.producers.keys() == {theirs.id, *(one.id for one in ours)}


async def test_all_streams_of_a_camera_are_piped(router: Router, far: Router, direct: DirectTransport) -> None:
    producer = await direct.produce("video", changed(camera(encodings=simulcast(None, None, None)), "mid", "2"))
    consumer, piped = await router.pipe_to_router(far, producer_id=producer.id)
    assert (producer.type, consumer.type, piped.type) == ("simulcast", "pipe", "simulcast")
    assert len(consumer.rtp_parameters.encodings) == len(piped.rtp_parameters.encodings) == 3
    assert piped.rtp_parameters.rtcp.cname == producer.rtp_parameters.rtcp.cname


async def test_in_one_worker_the_piped_one_has_another_id(
    worker: Worker, router: Router, direct: DirectTransport
) -> None:
    neighbour = await worker.create_router([OPUS, VP8])
    producer = await direct.produce("audio", voice(SSRC))
    with pytest.raises(InvalidParameters, match="keep_id: both routers are in one worker"):
        await router.pipe_to_router(neighbour, producer_id=producer.id)
    piped = await router.pipe_to_router(neighbour, producer_id=producer.id, keep_id=False)
    assert piped.pipe_producer.id != producer.id
    assert neighbour.producers == {piped.pipe_producer.id: piped.pipe_producer}


async def test_what_cannot_be_piped_leaves_nothing(router: Router, far: Router, direct: DirectTransport) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    with pytest.raises(InvalidParameters, match="itself"):
        await router.pipe_to_router(router, producer_id=producer.id)
    with pytest.raises(InvalidParameters, match="exactly one"):
        await router.pipe_to_router(far)  # type: ignore[call-overload]
    with pytest.raises(NotFound):
        await router.pipe_to_router(far, producer_id="nobody")
    by_tcp, elsewhere = PipeOptions(ListenInfo("tcp", "127.0.0.1")), PipeOptions(ListenInfo("udp", "10.255.255.1"))
    with pytest.raises(InvalidParameters, match="udp only"):
        await router.pipe_to_router(far, producer_id=producer.id, options=by_tcp)
    with pytest.raises(RequestRefused):
        await router.pipe_to_router(far, producer_id=producer.id, options=elsewhere)
    assert pipes(router) == pipes(far) == []
    made = far.wait_for("newtransport")
    pending = asyncio.ensure_future(router.pipe_to_router(far, producer_id=producer.id))
    await made
    far.close()
    with pytest.raises(ResourceClosed):
        await pending
    assert pipes(router) == []


async def test_a_producer_that_closes_on_the_way_is_not_found(
    router: Router, far: Router, direct: DirectTransport
) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    made = router.wait_for("newtransport")
    pending = asyncio.ensure_future(router.pipe_to_router(far, producer_id=producer.id))
    await (await made).wait_for("newconsumer")
    producer.close()
    with pytest.raises(NotFound):
        await pending
    await eventually(lambda: far.producers)
    assert not pipes(router)[0]._children
    assert producer.close_reason is CloseReason.REQUESTED


async def test_pipes_are_connected_by_hand_across_machines(router: Router, far: Router) -> None:
    ours, theirs = [await one.create_pipe_transport(enable_srtp=True, sctp=SctpOptions()) for one in (router, far)]
    with pytest.raises(InvalidRequest, match="missing srtpParameters"):
        await ours.connect(ip="127.0.0.1", port=theirs.tuple.local_port)
    await ours.connect(ip="127.0.0.1", port=theirs.tuple.local_port, srtp_parameters=theirs.srtp_parameters)
    assert ours.tuple.remote_port == theirs.tuple.local_port
    dump = await ours.dump()
    assert (dump["rtx"], dump["srtp_parameters"]["crypto_suite"]) == (False, "AEAD_AES_256_GCM")
    assert (await ours.get_stats())[0]["type"] == "pipe-transport"
    ours.close()
    assert ours.sctp_state == "closed"
