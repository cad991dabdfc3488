"""DataProducer and DataConsumer: what they are when they are made, how their streams deliver, pausing, subchannels, and
their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tests.conftest import eventually
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_peer import LOOPBACK
from worker_bridge.data_consumer import DataConsumer
from worker_bridge.data_producer import DataProducer
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.errors import BridgeError, InvalidParameters, NotFound, RequestRefused, ResourceClosed
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.webrtc_transport import WebRtcTransport

ORDERED = SctpStreamParameters(666)
RETRIED = SctpStreamParameters(777, max_retransmits=3)
TIMED = SctpStreamParameters(12345, ordered=False, max_packet_life_time=5000)


@pytest.fixture
async def sender(router: Router) -> WebRtcTransport:
    return await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())


@pytest.fixture
async def receiver(router: Router) -> WebRtcTransport:
    return await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())


@pytest.fixture
async def direct(router: Router) -> DirectTransport:
    return await router.create_direct_transport()


@pytest.fixture
async def source(sender: WebRtcTransport) -> DataProducer:
    return await sender.produce_data(TIMED, label="foo", protocol="bar")


@pytest.fixture
async def sink(receiver: WebRtcTransport, source: DataProducer) -> DataConsumer:
    return await receiver.consume_data(source.id)


# ---------------------------------------------------------------- producing


@pytest.mark.parametrize(
    ("asked", "decided", "paused"),
    [
        (ORDERED, SctpStreamParameters(666, ordered=True), False),
        (RETRIED, SctpStreamParameters(777, ordered=False, max_retransmits=3), True),
        (TIMED, TIMED, False),
        (SctpStreamParameters(0, ordered=False), SctpStreamParameters(0, ordered=False), False),
        (SctpStreamParameters(65534), SctpStreamParameters(65534, ordered=True), False),
    ],
)
async def test_a_new_data_producer_is_known_to_all(
    router: Router, sender: WebRtcTransport, asked: SctpStreamParameters, decided: Any, paused: bool
) -> None:
    told = recorded(sender, "newdataproducer")
    producer = await sender.produce_data(asked, label="foo", protocol="bar", paused=paused, app_data={"foo": 1})
    assert told == [("newdataproducer", producer)]
    assert (producer.type, producer.closed, producer.paused) == ("sctp", False, paused)
    assert producer.sctp_stream_parameters == decided
    assert (producer.label, producer.protocol, producer.app_data) == ("foo", "bar", {"foo": 1})
    dump = await producer.dump()
    assert (dump["id"], dump["type"], dump["paused"]) == (producer.id, "sctp", paused)
    assert (dump["label"], dump["protocol"], dump["sctp_stream_parameters"]) == ("foo", "bar", decided)
    [stats] = await producer.get_stats()
    assert (stats["type"], stats["label"], stats["protocol"]) == ("data-producer", "foo", "bar")
    assert (stats["messages_received"], stats["bytes_received"]) == (0, 0)
    dump = await router.dump()
    assert dump["map_data_producer_id_data_consumer_ids"] == {producer.id: []}
    assert dump["map_data_consumer_id_data_producer_id"] == {}
    dump = await sender.dump()
    assert (dump["data_producer_ids"], dump["data_consumer_ids"]) == ([producer.id], [])


@pytest.mark.parametrize(
    "streams",
    [
        None,
        SctpStreamParameters(None),  # type: ignore[arg-type]
        SctpStreamParameters("666"),  # type: ignore[arg-type]
        SctpStreamParameters(-1),
        SctpStreamParameters(65535),
        SctpStreamParameters(999, ordered=True, max_packet_life_time=4000),
        SctpStreamParameters(999, ordered=True, max_retransmits=1),
        SctpStreamParameters(999, max_retransmits=1, max_packet_life_time=4000),
        SctpStreamParameters(999, ordered="yes"),  # type: ignore[arg-type]
        SctpStreamParameters(999, max_retransmits=65536),
    ],
)
async def test_a_stream_that_cannot_be_is_not_produced_from(sender: WebRtcTransport, streams: Any) -> None:
    with pytest.raises(InvalidParameters):
        await sender.produce_data(streams)
    assert (await sender.dump())["data_producer_ids"] == []


async def test_a_stream_belongs_to_one_data_producer(sender: WebRtcTransport) -> None:
    producer = await sender.produce_data(ORDERED)
    with pytest.raises(RequestRefused):
        await sender.produce_data(ORDERED)
    assert (await sender.dump())["data_producer_ids"] == [producer.id]
    producer.close()
    await sender.produce_data(ORDERED)


async def test_without_sctp_there_is_no_data(router: Router) -> None:
    transport = await router.create_webrtc_transport([LOOPBACK])
    with pytest.raises(BridgeError):
        await transport.produce_data(ORDERED)
    assert (await transport.dump())["data_producer_ids"] == []


# ---------------------------------------------------------------- consuming


@pytest.mark.parametrize(
    ("asked", "decided"),
    [
        ({}, TIMED),
        ({"ordered": True}, SctpStreamParameters(0, ordered=True)),
        ({"ordered": False}, TIMED),
        ({"max_packet_life_time": 4000}, SctpStreamParameters(0, ordered=False, max_packet_life_time=4000)),
        ({"ordered": False, "max_retransmits": 2}, SctpStreamParameters(0, ordered=False, max_retransmits=2)),
        ({"max_retransmits": 0}, SctpStreamParameters(0, ordered=False, max_retransmits=0)),
    ],
)
async def test_a_new_data_consumer_delivers_as_it_was_asked_to(
    router: Router,
    receiver: WebRtcTransport,
    source: DataProducer,
    asked: dict[str, Any],
    decided: SctpStreamParameters,
) -> None:
    told = recorded(receiver, "newdataconsumer")
    consumer = await receiver.consume_data(source.id, **asked, subchannels=(0, 1, 1, 2, 65535), app_data={"baz": 1})
    assert told == [("newdataconsumer", consumer)]
    assert (consumer.data_producer_id, consumer.type, consumer.closed) == (source.id, "sctp", False)
    streams = consumer.sctp_stream_parameters
    assert streams is not None
    assert streams == SctpStreamParameters(0, decided.ordered, decided.max_packet_life_time, decided.max_retransmits)
    assert (consumer.label, consumer.protocol, consumer.app_data) == ("foo", "bar", {"baz": 1})
    assert (consumer.paused, consumer.data_producer_paused) == (False, False)
    assert consumer.subchannels == (0, 1, 2, 65535)
    dump = await consumer.dump()
    assert (dump["id"], dump["data_producer_id"], dump["type"]) == (consumer.id, source.id, "sctp")
    assert (dump["label"], dump["protocol"], dump["paused"]) == ("foo", "bar", False)
    assert dump["data_producer_paused"] is False
    assert sorted(dump["subchannels"]) == [0, 1, 2, 65535]
    assert (dump["buffered_amount"], dump["buffered_amount_low_threshold"]) == (0, 1024)
    assert dump["sctp_stream_parameters"] == replace(streams, max_retransmits=streams.max_retransmits or None)
    dump = await router.dump()
    assert dump["map_data_producer_id_data_consumer_ids"] == {source.id: [consumer.id]}
    assert dump["map_data_consumer_id_data_producer_id"] == {consumer.id: source.id}
    dump = await receiver.dump()
    assert (dump["data_producer_ids"], dump["data_consumer_ids"]) == ([], [consumer.id])


async def test_what_nobody_produces_cannot_be_consumed(receiver: WebRtcTransport) -> None:
    with pytest.raises(NotFound, match="12345678"):
        await receiver.consume_data("12345678")


@pytest.mark.parametrize(
    "asked",
    [
        {"ordered": True, "max_retransmits": 1},
        {"max_retransmits": 1, "max_packet_life_time": 1},
        {"subchannels": (65536,)},
        {"max_packet_life_time": -1},
    ],
)
async def test_a_delivery_that_cannot_be_takes_no_stream(
    receiver: WebRtcTransport, source: DataProducer, asked: dict[str, Any]
) -> None:
    with pytest.raises(BridgeError):
        await receiver.consume_data(source.id, **asked)
    assert (await receiver.dump())["data_consumer_ids"] == []
    assert not receiver._streams._taken


async def test_streams_are_counted_and_given_back(receiver: WebRtcTransport, source: DataProducer) -> None:
    consumers = [await receiver.consume_data(source.id) for _ in range(3)]
    assert [stream_of(one) for one in consumers] == [0, 1, 2]
    receiver._streams.limit = 3  # as if the far end had agreed to no more
    with pytest.raises(RequestRefused, match="no SCTP stream is free"):
        await receiver.consume_data(source.id)
    consumers[1].close()
    assert stream_of(await receiver.consume_data(source.id)) == 1


def stream_of(consumer: DataConsumer) -> int:
    assert consumer.sctp_stream_parameters is not None
    return consumer.sctp_stream_parameters.stream_id


async def test_what_comes_from_this_process_is_delivered_in_order(
    router: Router, receiver: WebRtcTransport, direct: DirectTransport
) -> None:
    source = await direct.produce_data()
    assert (source.type, source.sctp_stream_parameters, source.label, source.protocol) == ("direct", None, "", "")
    consumer = await receiver.consume_data(source.id)
    assert (consumer.type, consumer.label, consumer.protocol) == ("sctp", "", "")
    assert consumer.sctp_stream_parameters == SctpStreamParameters(0, ordered=True)
    assert (consumer.subchannels, consumer.app_data) == ((), {})
    other = await receiver.consume_data(source.id, ordered=False, max_retransmits=2, subchannels=(0, 1))
    dump = await other.dump()
    assert dump["sctp_stream_parameters"] == SctpStreamParameters(1, ordered=False, max_retransmits=2)
    assert sorted(dump["subchannels"]) == [0, 1]
    consumed = (await router.dump())["map_data_producer_id_data_consumer_ids"]
    assert set(consumed[source.id]) == {consumer.id, other.id}


async def test_what_goes_to_this_process_has_no_stream(direct: DirectTransport, source: DataProducer) -> None:
    told = recorded(direct, "newdataconsumer")
    consumer = await direct.consume_data(source.id, paused=True, app_data={"hehe": "HEHE"})
    assert told == [("newdataconsumer", consumer)]
    assert (consumer.type, consumer.sctp_stream_parameters, consumer.paused) == ("direct", None, True)
    assert (consumer.label, consumer.protocol, consumer.app_data) == ("foo", "bar", {"hehe": "HEHE"})
    dump = await consumer.dump()
    assert (dump["id"], dump["type"], dump["paused"]) == (consumer.id, "direct", True)
    assert (dump["label"], dump["protocol"], list(dump["subchannels"])) == ("foo", "bar", [])
    assert "sctp_stream_parameters" not in dump
    [stats] = await consumer.get_stats()
    assert (stats["type"], stats["messages_sent"], stats["bytes_sent"]) == ("data-consumer", 0, 0)
    assert (await direct.dump())["data_consumer_ids"] == [consumer.id]
    with pytest.raises(BridgeError):
        await consumer.send("foo")


async def test_new_statistics_are_zero(sink: DataConsumer) -> None:
    [stats] = await sink.get_stats()
    assert (stats["type"], stats["label"], stats["protocol"]) == ("data-consumer", "foo", "bar")
    assert (stats["messages_sent"], stats["bytes_sent"], stats["buffered_amount"]) == (0, 0, 0)
    assert await sink.get_buffered_amount() == 0


# ---------------------------------------------------------------- what can be asked of them


async def test_pauses_asked_for_at_once_are_told_as_they_take_effect(source: DataProducer, sink: DataConsumer) -> None:
    for one in (source, sink):
        told = recorded(one, "pause", "resume")
        await one.pause()
        assert (one.paused, (await one.dump())["paused"]) == (True, True)
        await one.resume()
        assert (one.paused, (await one.dump())["paused"]) == (False, False)
        await asyncio.gather(*(ask() for ask in (one.pause, one.resume, one.pause, one.pause, one.pause, one.resume)))
        assert told[:6] == ["pause", "resume"] * 3
        assert not one.paused


async def test_its_producers_pauses_are_told_as_they_come(source: DataProducer, sink: DataConsumer) -> None:
    told = recorded(sink, "pause", "resume", "dataproducerpause", "dataproducerresume")
    state: list[bool] = []
    for event in ("dataproducerpause", "dataproducerresume"):
        sink.events.on(event, lambda: state.append(source.paused))
    await asyncio.gather(source.pause(), source.resume())
    await eventually(lambda: None if len(told) == 4 else f"told {told}")
    assert [one for one in told if not one.startswith("data")] == ["pause", "resume"]
    assert [one for one in told if one.startswith("data")] == ["dataproducerpause", "dataproducerresume"]
    assert state == [True, False], "the producer's own state comes first"
    assert (sink.paused, sink.data_producer_paused) == (False, False)


async def test_a_data_consumer_of_a_paused_producer_knows_it(receiver: WebRtcTransport, source: DataProducer) -> None:
    await source.pause()
    consumer = await receiver.consume_data(source.id)
    assert (consumer.paused, consumer.data_producer_paused) == (False, True)


async def test_subchannels_come_and_go(sink: DataConsumer) -> None:
    await sink.set_subchannels([999, 999, 998, 0])
    assert sink.subchannels == (0, 998, 999)
    await sink.set_subchannels([])
    assert sink.subchannels == ()
    for ask, number, left in (
        (sink.add_subchannel, 5, (5,)),
        (sink.add_subchannel, 10, (5, 10)),
        (sink.add_subchannel, 5, (5, 10)),
        (sink.remove_subchannel, 666, (5, 10)),
        (sink.remove_subchannel, 5, (10,)),
    ):
        await ask(number)
        assert sink.subchannels == left
    with pytest.raises(BridgeError):
        await sink.add_subchannel(65536)
    assert sorted((await sink.dump())["subchannels"]) == [10]


async def test_the_threshold_of_low_can_be_set(sink: DataConsumer) -> None:
    await sink.set_buffered_amount_low_threshold(4096)
    assert (await sink.dump())["buffered_amount_low_threshold"] == 4096


# ---------------------------------------------------------------- their end


async def test_a_closed_data_producer_is_gone(router: Router, sender: WebRtcTransport, source: DataProducer) -> None:
    told = recorded(source, "close", "transportclose")
    source.close()
    assert told == [("close", CloseReason.REQUESTED)]
    assert (await router.dump())["map_data_producer_id_data_consumer_ids"] == {}
    assert (await sender.dump())["data_producer_ids"] == []
    for ask in (source.dump, source.get_stats, source.pause, source.resume):
        with pytest.raises(ResourceClosed, match=source.id):
            await ask()


async def test_a_closed_data_consumer_is_gone(
    router: Router, receiver: WebRtcTransport, source: DataProducer, sink: DataConsumer
) -> None:
    told = recorded(sink, "close", "transportclose", "dataproducerclose")
    sink.close()
    assert told == [("close", CloseReason.REQUESTED)]
    dump = await router.dump()
    assert dump["map_data_producer_id_data_consumer_ids"] == {source.id: []}
    assert dump["map_data_consumer_id_data_producer_id"] == {}
    assert (await receiver.dump())["data_consumer_ids"] == []
    for ask in (
        sink.dump,
        sink.get_stats,
        sink.pause,
        sink.resume,
        sink.get_buffered_amount,
        lambda: sink.send("foo"),
        lambda: sink.set_subchannels([1]),
        lambda: sink.add_subchannel(1),
        lambda: sink.remove_subchannel(1),
        lambda: sink.set_buffered_amount_low_threshold(1),
    ):
        with pytest.raises(ResourceClosed, match=sink.id):
            await ask()


async def test_a_data_consumer_ends_with_its_producer(source: DataProducer, sink: DataConsumer) -> None:
    told = recorded(sink, "close", "transportclose", "dataproducerclose")
    source.close()
    await eventually(lambda: None if sink.closed else "it is open")
    assert told == ["dataproducerclose", ("close", CloseReason.PRODUCER_CLOSED)]
    with pytest.raises(ResourceClosed, match=sink.id):
        await sink.dump()


async def test_both_end_with_their_transport(
    router: Router, sender: WebRtcTransport, receiver: WebRtcTransport, source: DataProducer, sink: DataConsumer
) -> None:
    heard = recorded(sink, "close", "transportclose", "dataproducerclose")
    receiver.close()
    assert heard == ["transportclose", ("close", CloseReason.OWNER_CLOSED)]
    assert (await router.dump())["map_data_producer_id_data_consumer_ids"] == {source.id: []}
    told = recorded(source, "close", "transportclose")
    sender.close()
    assert told == ["transportclose", ("close", CloseReason.OWNER_CLOSED)]
    with pytest.raises(ResourceClosed, match=source.id):
        await source.dump()
