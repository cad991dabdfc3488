"""Streams out of the router, with real RTP: what arrives, what is paused by whom, layers and priorities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import camera, changed, simulcast
from worker_bridge.consumer import Consumer, ConsumerLayers, ConsumerScore
from worker_bridge.errors import InvalidParameters
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.trace import Trace

SSRC, OPUS_TYPE = 4242, 111
PATIENCE_S = 10.0


class Line(NamedTuple):
    """A speaker and a listener with a router between them."""

    router: Router
    entrance: PlainTransport
    exit: PlainTransport
    speaker: RtpPeer
    listener: RtpPeer
    producer: Producer

    def speak(self, payload: bytes = b"voice") -> int:
        return self.speaker.send(self.entrance.tuple, payload, ssrc=SSRC, payload_type=OPUS_TYPE)

    async def hear(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return (await self.listener.receive()).payload

    async def consume(self, *, paused: bool = False) -> Consumer:
        return await self.exit.consume(self.producer.id, self.router.rtp_capabilities, paused=paused)

    async def until_counted(self, packets: int) -> None:
        async def why_not() -> str | None:
            count = await self.producer.get_packet_count()
            return f"{count} of {packets} packets have come" if count != packets else None

        await eventually(why_not)


@pytest.fixture
async def line(router: Router, peers: Callable[[], RtpPeer]) -> Line:
    entrance = await router.create_plain_transport(LOOPBACK, comedia=True)
    out = await router.create_plain_transport(LOOPBACK)
    listener = peers()
    await out.connect(ip="127.0.0.1", port=listener.port)
    return Line(router, entrance, out, peers(), listener, await entrance.produce("audio", voice(SSRC)))


def recorded(consumer: Consumer) -> list[str]:
    told: list[str] = []
    for event in ("pause", "resume", "producerpause", "producerresume"):
        consumer.events.on(event, lambda event=event: told.append(event))
    return told


# ---------------------------------------------------------------- media


async def test_what_is_said_is_heard_with_the_consumers_own_names(line: Line) -> None:
    consumer = await line.consume()
    [codec], [encoding] = consumer.rtp_parameters.codecs, consumer.rtp_parameters.encodings
    for word in (b"one", b"two", b"three"):
        line.speak(word)
    async with asyncio.timeout(PATIENCE_S):
        heard = [await line.listener.receive() for _ in range(3)]
    assert [packet.payload for packet in heard] == [b"one", b"two", b"three"]
    assert {(packet.ssrc, packet.payload_type) for packet in heard} == {(encoding.ssrc, codec.payload_type)}
    assert encoding.ssrc != SSRC
    assert heard[2].sequence_number - heard[0].sequence_number == 2

    sent, received = await consumer.get_stats()
    assert (sent["type"], sent["packet_count"], sent["ssrc"]) == ("outbound-rtp", 3, encoding.ssrc)
    assert (received["type"], received["packet_count"], received["ssrc"]) == ("inbound-rtp", 3, SSRC)
    [transport] = await line.exit.get_stats()
    assert transport["rtp_bytes_sent"] == sent["byte_count"] > 0
    assert transport["tuple"]["remote_port"] == line.listener.port


async def test_traces_and_scores_come_with_the_packets(line: Line) -> None:
    consumer = await line.consume()
    assert consumer.score == ConsumerScore(10, 0, (0,)), "nobody has sent yet"
    traces: list[Trace] = []
    scores: list[ConsumerScore] = []
    consumer.events.on("trace", traces.append)
    consumer.events.on("score", scores.append)
    await consumer.enable_trace_event("rtp")
    line.speak()
    await eventually(lambda: "no trace or score" if not (traces and scores) else None)
    [trace] = traces
    assert (trace.type, trace.direction) == ("rtp", "out")
    assert trace.info["rtp_packet"]["ssrc"] == consumer.rtp_parameters.encodings[0].ssrc
    assert scores[-1] == consumer.score == ConsumerScore(10, 10, (10,))
    with pytest.raises(InvalidParameters, match="types: 'sr' is none"):
        await consumer.enable_trace_event("sr")


async def test_a_paused_consumer_hears_nothing_until_it_resumes(line: Line) -> None:
    consumer = await line.consume(paused=True)
    assert (consumer.paused, consumer.producer_paused) == (True, False)
    line.speak(b"lost")
    await line.until_counted(1)
    await consumer.resume()
    line.speak(b"heard")
    assert await line.hear() == b"heard"


async def test_a_paused_producer_is_not_heard(line: Line) -> None:
    await line.consume()
    await line.producer.pause()
    line.speak(b"lost")
    await line.until_counted(1)
    await line.producer.resume()
    line.speak(b"heard")
    assert await line.hear() == b"heard"


# ---------------------------------------------------------------- who paused what


async def test_a_consumer_of_a_paused_producer_knows_it_from_the_start(line: Line) -> None:
    await line.producer.pause()
    consumer = await line.consume()
    told = recorded(consumer)
    assert (consumer.paused, consumer.producer_paused) == (False, True)
    await consumer.dump()
    assert told == [], "it was so before anybody listened"
    await line.producer.resume()
    await eventually(lambda: "it does not know" if consumer.producer_paused else None)
    assert sorted(told) == ["producerresume", "resume"]


async def test_pause_and_resume_tell_only_of_effective_changes(line: Line) -> None:
    consumer = await line.consume()
    told = recorded(consumer)

    async def happened(*events: str) -> None:
        await consumer.dump()  # behind all notifications
        await eventually(lambda: f"{told} is not {events}" if len(told) < len(events) else None)
        assert sorted(told) == sorted(events)
        told.clear()

    await line.producer.pause()
    await happened("producerpause", "pause")
    await consumer.pause()  # nothing flowed already
    await happened()
    await line.producer.resume()
    await happened("producerresume")
    assert (consumer.paused, consumer.producer_paused) == (True, False)
    await consumer.resume()
    await happened("resume")
    await consumer.resume()
    await happened()
    await consumer.pause()
    await happened("pause")
    await line.producer.pause()
    await happened("producerpause")
    assert (await consumer.dump())["paused"] is True


# ---------------------------------------------------------------- layers, priority, end


async def test_layers_of_a_simulcast_stream_can_be_chosen(line: Line) -> None:
    layered = await line.entrance.produce("video", changed(camera(encodings=simulcast(None, None)), "mid", "2"))
    consumer = await line.exit.consume(layered.id, line.router.rtp_capabilities)
    assert consumer.type == "simulcast"
    assert consumer.preferred_layers == ConsumerLayers(1, 0)
    assert consumer.current_layers is None
    await consumer.set_preferred_layers(ConsumerLayers(0, 0))
    assert consumer.preferred_layers == ConsumerLayers(0, 0)
    await consumer.set_preferred_layers(ConsumerLayers(7))
    assert consumer.preferred_layers == ConsumerLayers(1, 0), "the best that there is"


async def test_a_simple_stream_has_no_layers(line: Line) -> None:
    consumer = await line.consume()
    await consumer.set_preferred_layers(ConsumerLayers(0, 0))
    assert consumer.preferred_layers is None


async def test_priorities_are_within_a_byte(line: Line) -> None:
    consumer = await line.consume()
    assert consumer.priority == 1
    await consumer.set_priority(255)
    assert consumer.priority == 255
    assert (await consumer.dump())["priority"] == 255
    for priority in (0, 256, -1):
        with pytest.raises(InvalidParameters, match=str(priority)):
            await consumer.set_priority(priority)
    assert consumer.priority == 255


async def test_a_key_frame_can_be_asked_for(line: Line) -> None:
    video = await line.entrance.produce("video", camera())
    consumer = await line.exit.consume(video.id, line.router.rtp_capabilities)
    await consumer.request_key_frame()
    assert consumer.rtp_parameters.encodings[0].rtx_ssrc is not None


@pytest.mark.parametrize("owner", ["producer", "entrance"])
async def test_a_consumer_ends_with_its_producer(line: Line, owner: str) -> None:
    consumer = await line.consume()
    reasons: list[CloseReason] = []
    consumer.events.on("close", reasons.append)
    getattr(line, owner).close()
    await eventually(lambda: "it is open" if not consumer.closed else None)
    assert reasons == [consumer.close_reason] == [CloseReason.PRODUCER_CLOSED]
    assert not line.exit._children
    assert (await line.exit.dump())["consumer_ids"] == []
