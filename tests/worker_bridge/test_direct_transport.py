"""A direct transport on the real worker: RTP, RTCP and messages, in and out, byte by byte."""

from __future__ import annotations

import asyncio
import os
import signal
import struct

import pytest

from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_samples import camera, changed, microphone
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.errors import InvalidParameters, NotFound, ResourceClosed, Unsupported, WorkerGone
from worker_bridge.router import Router
from worker_bridge.sctp import Message, SctpStreamParameters
from worker_bridge.worker import Worker

SSRC = 1234
OPUS_TYPE = 111
VP8_KEY_FRAME = bytes((0x10, 0x00)) + bytes(20)  # RFC 7741 §4.2 and §4.3: a start of partition 0, P unset


@pytest.fixture
async def direct(router: Router) -> DirectTransport:
    return await router.create_direct_transport()


def rtp(number: int, payload: bytes, ssrc: int = SSRC) -> bytes:
    return struct.pack("!BBHII", 0x80, OPUS_TYPE, number, number * 960, ssrc) + payload


async def test_rtp_goes_in_and_comes_out(router: Router, direct: DirectTransport) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    consumer = await direct.consume(producer.id, router.rtp_capabilities)
    assert (direct.type, producer.type, consumer.type) == ("direct", "simple", "simple")
    packets = consumer.events_of("rtp")
    payloads = [bytes([number]) * (number + 1) for number in range(50)]
    for number, payload in enumerate(payloads):
        producer.send(rtp(number, payload))
    received = [await anext(packets) for _ in payloads]
    assert [packet[-len(payload) :] for packet, payload in zip(received, payloads, strict=True)] == payloads
    ssrcs = {struct.unpack_from("!I", packet, 8)[0] for packet in received}
    assert ssrcs == {consumer.rtp_parameters.encodings[0].ssrc}
    [stats] = await producer.get_stats()
    assert stats["packet_count"] == len(payloads)
    [stats] = await direct.get_stats()
    assert stats["type"] == "direct-transport"


async def test_a_callback_gets_each_packet_as_the_event_does(router: Router, direct: DirectTransport) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    consumer = await direct.consume(producer.id, router.rtp_capabilities)
    called: list[bytes] = []
    consumer.on_rtp(called.append)
    packets = consumer.events_of("rtp")
    for number in range(5):
        producer.send(rtp(number, bytes([number])))
    assert called == [await anext(packets) for _ in range(5)]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_any_bytes_can_be_sent(router: Router, direct: DirectTransport, kind: type) -> None:
    producer = await direct.produce("audio", voice(SSRC))
    consumer = await direct.consume(producer.id, router.rtp_capabilities)
    packets = consumer.events_of("rtp")
    producer.send(kind(rtp(1, b"voice")))
    assert (await anext(packets)).endswith(b"voice")
    with pytest.raises(InvalidParameters, match="packet: 70000 bytes are more than 65536"):
        producer.send(bytes(70000))
    with pytest.raises(InvalidParameters, match="packet: expected bytes, got str"):
        producer.send("voice")  # type: ignore[arg-type]


async def test_rtcp_goes_in_and_comes_out(router: Router, direct: DirectTransport) -> None:
    """A sender report of ours reaches the producer, and a request for a key frame (RFC 4585 §6.3.1) reaches us."""
    producer = await direct.produce("video", camera())
    consumer = await direct.consume(producer.id, router.rtp_capabilities)
    [encoding], [codec, _] = producer.rtp_parameters.encodings, producer.rtp_parameters.codecs
    traces = producer.events_of("trace")
    await producer.enable_trace_event("sr")
    producer.send(struct.pack("!BBHII", 0x80, codec.payload_type, 1, 3000, encoding.ssrc or 0) + VP8_KEY_FRAME)
    direct.send_rtcp(struct.pack("!BBHIIIIII", 0x80, 200, 6, encoding.ssrc or 0, 1, 2, 3, 4, 5))
    trace = await anext(traces)
    assert (trace.type, trace.direction) == ("sr", "in")
    assert (trace.info["ssrc"], trace.info["rtp_ts"], trace.info["packet_count"]) == (encoding.ssrc, 3, 4)
    asked = direct.wait_for("rtcp", lambda packet: packet[:2] == bytes((0x81, 206)))
    await consumer.request_key_frame()
    assert struct.unpack_from("!I", await asked, 8) == (encoding.ssrc,)
    with pytest.raises(InvalidParameters):
        direct.send_rtcp(bytes(1601))


async def test_messages_go_in_and_come_out(direct: DirectTransport) -> None:
    data_producer = await direct.produce_data(label="chat", protocol="lines")
    data_consumer = await direct.consume_data(data_producer.id)
    assert (data_consumer.type, data_consumer.label, data_consumer.protocol) == ("direct", "chat", "lines")
    messages = data_consumer.events_of("message")
    sent = ["hello", "", b"\0\1\2", b"", bytearray(b"array"), "ünï" * 1000, bytes(range(256)) * 1024]
    for message in sent:
        data_producer.send(message)
    for message in sent:
        received: Message = await anext(messages)
        assert received.is_text is isinstance(message, str)
        assert (received.text if isinstance(message, str) else received.payload) == message
    [stats] = await data_producer.get_stats()
    assert (stats["type"], stats["messages_received"]) == ("data-producer", len(sent))
    [stats] = await data_consumer.get_stats()
    assert (stats["type"], stats["messages_sent"], stats["label"]) == ("data-consumer", len(sent), "chat")
    with pytest.raises(InvalidParameters, match="262145 bytes"):
        data_producer.send(bytes(262145))


async def test_subchannels_choose_who_hears(direct: DirectTransport) -> None:
    data_producer = await direct.produce_data()
    everybody = await direct.consume_data(data_producer.id)
    team = await direct.consume_data(data_producer.id, subchannels=(1, 2))
    heard, heard_by_team = everybody.events_of("message"), team.events_of("message")
    assert team.subchannels == (1, 2)
    data_producer.send("to one", subchannels=[1])
    data_producer.send("to three", subchannels=[3])
    data_producer.send("to one who is also in 9", subchannels=[1], required_subchannel=9)
    data_producer.send("to one who is not in 2", subchannels=[1], ignored_subchannel=2)
    data_producer.send("to all")
    assert (await anext(heard)).text == "to all"
    assert [(await anext(heard_by_team)).text for _ in range(2)] == ["to one", "to all"]
    await team.add_subchannel(9)
    await team.remove_subchannel(2)
    assert team.subchannels == (1, 9)
    data_producer.send("to one who is also in 9", subchannels=[1], required_subchannel=9)
    data_producer.send("to one who is not in 2", subchannels=[1], ignored_subchannel=2)
    assert [(await anext(heard_by_team)).text for _ in range(2)] == [
        "to one who is also in 9",
        "to one who is not in 2",
    ]
    await team.set_subchannels([7])
    assert team.subchannels == (7,)


async def test_data_is_paused_on_either_side(direct: DirectTransport) -> None:
    data_producer = await direct.produce_data(paused=True)
    data_consumer = await direct.consume_data(data_producer.id)
    assert (data_consumer.paused, data_consumer.data_producer_paused) == (False, True)
    told: list[str] = []
    for event in ("pause", "resume", "dataproducerpause", "dataproducerresume", "dataproducerclose"):
        data_consumer.events.on(event, lambda event=event: told.append(event))
    messages = data_consumer.events_of("message")
    data_producer.send("lost")
    await data_producer.resume()
    await data_consumer.pause()
    data_producer.send("lost, too")
    await data_consumer.resume()
    data_producer.send("heard")
    assert (await anext(messages)).text == "heard"
    ended = data_consumer.wait_for("close")
    data_producer.close()
    await ended
    assert told == ["dataproducerresume", "resume", "pause", "resume", "dataproducerclose"]


async def test_a_direct_transport_has_neither_bitrates_nor_streams(direct: DirectTransport) -> None:
    await direct.connect()
    for ask in (direct.set_max_incoming_bitrate, direct.set_max_outgoing_bitrate, direct.set_min_outgoing_bitrate):
        with pytest.raises(Unsupported):
            await ask(1_000_000)
    with pytest.raises(InvalidParameters, match="has no streams"):
        await direct.produce_data(SctpStreamParameters(1))
    with pytest.raises(NotFound):
        await direct.consume_data("nobody")
    assert (direct.sctp_parameters, direct.sctp_state) == (None, None)


async def test_nothing_is_sent_into_what_is_closed(direct: DirectTransport) -> None:
    producer = await direct.produce("audio", changed(microphone(), "mid", "1"))
    data_producer = await direct.produce_data()
    direct.close()
    with pytest.raises(ResourceClosed, match=f"Producer {producer.id} is closed: OWNER_CLOSED"):
        producer.send(rtp(1, b""))
    with pytest.raises(ResourceClosed):
        data_producer.send("late")
    with pytest.raises(ResourceClosed):
        direct.send_rtcp(b"")
    with pytest.raises(ResourceClosed):
        await direct.drain()


async def test_draining_waits_until_the_worker_keeps_up(direct: DirectTransport) -> None:
    data_producer = await direct.produce_data()
    data_consumer = await direct.consume_data(data_producer.id)
    messages = data_consumer.events_of("message")
    for number in range(200):
        data_producer.send(number.to_bytes(2, "big") * 30_000)
        await direct.drain()
    for number in range(200):
        assert (await anext(messages)).payload[:2] == number.to_bytes(2, "big")
    assert messages.dropped == 0


async def test_whoever_drains_hears_of_the_workers_end(worker: Worker, direct: DirectTransport) -> None:
    data_producer = await direct.produce_data()
    os.kill(worker.pid, signal.SIGSTOP)
    for _ in range(100):
        data_producer.send(bytes(200_000))
    draining = asyncio.ensure_future(direct.drain())
    await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerGone, match="signal 9"):
        await draining
