"""Streams into the router, with real RTP: the first packet, counts, scores, pause and resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import camera, changed, simulcast
from worker_bridge.errors import InvalidParameters
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer, ProducerScore
from worker_bridge.router import Router

SSRC, OPUS_TYPE = 4242, 111


@pytest.fixture
async def gateway(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK, comedia=True)


@pytest.fixture
async def producer(gateway: PlainTransport) -> Producer:
    return await gateway.produce("audio", voice(SSRC))


@pytest.fixture
def speak(gateway: PlainTransport, peers: Callable[[], RtpPeer]) -> Callable[[], int]:
    """Sends one packet of the producer's stream; returns its sequence number."""
    peer = peers()
    return lambda: peer.send(gateway.tuple, ssrc=SSRC, payload_type=OPUS_TYPE)


async def counted(producer: Producer, packets: int) -> None:
    async def why_not() -> str | None:
        count = await producer.get_packet_count()
        return f"{count} of {packets} packets have come" if count != packets else None

    await eventually(why_not)


def numbers(traces: list[tuple[str, Any]]) -> list[int]:
    return [body["info"]["rtp_packet"]["sequence_number"] for _, body in traces]


async def test_a_producer_is_what_was_asked_for(gateway: PlainTransport) -> None:
    audio = await gateway.produce("audio", voice(SSRC), paused=True)
    video = await gateway.produce("video", camera())
    layered = await gateway.produce("video", changed(camera(encodings=simulcast(None, None)), "mid", "2"))
    assert (audio.kind, audio.type, audio.paused) == ("audio", "simple", True)
    assert (video.kind, video.type, video.paused) == ("video", "simple", False)
    assert layered.type == "simulcast"
    dump = await audio.dump()
    assert (dump["id"], dump["kind"], dump["type"], dump["paused"]) == (audio.id, "audio", "simple", True)


async def test_a_trace_from_birth_catches_the_very_first_packet(
    gateway: PlainTransport, speak: Callable[[], int]
) -> None:
    traces: list[tuple[str, Any]] = []
    producer = await gateway.produce("audio", voice(SSRC), traces=("rtp",))
    producer.on_trace(lambda _, kind, body: traces.append((kind, body)))
    first = speak()
    await eventually(lambda: "nothing was traced" if not traces else None)
    [(kind, body)] = traces
    assert (kind, body["direction"]) == ("rtp", "DIRECTION_IN")
    assert numbers(traces) == [first]
    assert body["info"]["rtp_packet"]["ssrc"] == SSRC


async def test_tracing_stops_at_once(producer: Producer, speak: Callable[[], int]) -> None:
    traces: list[tuple[str, Any]] = []
    producer.on_trace(lambda _, kind, body: traces.append((kind, body)))
    await producer.enable_trace_event("rtp")
    sent = [speak(), speak()]
    await eventually(lambda: f"traced {numbers(traces)} of {sent}" if len(traces) < 2 else None)
    producer.stop_tracing()
    assert (await producer.dump())["trace_event_types"] == []
    speak()
    await counted(producer, 3)
    assert numbers(traces) == sent


async def test_traces_are_events_too(producer: Producer, speak: Callable[[], int]) -> None:
    traces = producer.events_of("trace")
    await producer.enable_trace_event("rtp", "pli")
    sent = speak()
    trace = await anext(traces)
    assert (trace.type, trace.direction, trace.info["is_rtx"]) == ("rtp", "in", False)
    assert trace.info["rtp_packet"]["sequence_number"] == sent


async def test_an_unknown_trace_is_refused_before_the_worker_sees_it(
    gateway: PlainTransport, producer: Producer
) -> None:
    with pytest.raises(InvalidParameters, match="types: 'video' is none of fir, keyframe, nack, pli, rtp, sr"):
        await producer.enable_trace_event("rtp", "video")
    assert (await producer.dump())["trace_event_types"] == []
    with pytest.raises(InvalidParameters):
        await gateway.produce("audio", voice(7), traces=("RTP",))
    assert (await gateway.dump())["producer_ids"] == [producer.id]


async def test_packets_are_counted_and_scored(producer: Producer, speak: Callable[[], int]) -> None:
    scores: list[object] = []
    producer.events.on("score", scores.append)
    assert await producer.get_packet_count() == 0
    assert await producer.get_stats() == []
    for _ in range(5):
        speak()
    await counted(producer, 5)
    await eventually(lambda: "there is no score" if not scores else None)
    assert scores[0] == producer.score == (ProducerScore(0, SSRC, 10),)
    [stats] = await producer.get_stats()
    assert stats["type"] == "inbound-rtp"
    assert (stats["packet_count"], stats["ssrc"], stats["kind"]) == (5, SSRC, "audio")
    assert stats["mime_type"] == "audio/opus"
    assert stats["byte_count"] == 5 * (12 + len(b"voice"))
    assert stats["bitrate_by_layer"] == {}
    assert "rtx_ssrc" not in stats
    assert "base" not in stats


async def test_pause_and_resume_are_told_once(producer: Producer) -> None:
    told: list[str] = []
    producer.events.on("pause", lambda: told.append(f"pause {producer.paused}"))
    producer.events.on("resume", lambda: told.append(f"resume {producer.paused}"))
    await producer.pause()
    await producer.pause()
    assert (await producer.dump())["paused"] is True
    await producer.resume()
    await producer.resume()
    assert (await producer.dump())["paused"] is False
    assert told == ["pause True", "resume False"]


async def test_a_paused_producer_still_counts(producer: Producer, speak: Callable[[], int]) -> None:
    await producer.pause()
    speak()
    await counted(producer, 1)
