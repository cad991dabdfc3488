"""Producer: what it is when it is made, what is refused, its dump, pausing, traces, and its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_samples import FIR, NACK, PLI, REMB, changed, codec, h264_parameters, rtx
from worker_bridge.capabilities import MID, SSRC_AUDIO_LEVEL, VIDEO_ORIENTATION
from worker_bridge.errors import InvalidParameters, RequestRefused, ResourceClosed, Unsupported
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.rtp import (
    RtcpParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
    parameters,
)
from worker_bridge.webrtc_transport import WebRtcTransport

OPUS_OFFER = codec(
    "audio/opus", 0, 48000, channels=2, parameters=parameters(useinbandfec=1, usedtx=1, foo=222.222, bar="333")
)
AUDIO = RtpParameters(
    codecs=(OPUS_OFFER,),
    header_extensions=(RtpHeaderExtensionParameters(MID, 10), RtpHeaderExtensionParameters(SSRC_AUDIO_LEVEL, 12)),
    encodings=(RtpEncodingParameters(),),
    rtcp=RtcpParameters("audio-1"),
    mid="AUDIO",
)
H264 = codec("video/h264", 112, parameters=h264_parameters("4d0032", 1), rtcp_feedback=(NACK, PLI, REMB))
VIDEO = RtpParameters(
    codecs=(H264, rtx(113, 112)),
    header_extensions=(RtpHeaderExtensionParameters(MID, 10), RtpHeaderExtensionParameters(VIDEO_ORIENTATION, 13)),
    encodings=tuple(
        RtpEncodingParameters(
            ssrc=ssrc, rtx=RtxParameters(ssrc + 1), scalability_mode="L1T3" if ssrc == 22222222 else None
        )
        for ssrc in range(22222222, 22222230, 2)
    ),
    rtcp=RtcpParameters("video-1"),
    mid="VIDEO",
)
VP8_OFFER = codec("video/VP8", 96, rtcp_feedback=(NACK, PLI, FIR))


def vp8(*modes: str | None) -> RtpParameters:
    encodings = tuple(RtpEncodingParameters(ssrc=11 + 11 * at, scalability_mode=mode) for at, mode in enumerate(modes))
    return RtpParameters((VP8_OFFER,), encodings=encodings, rtcp=RtcpParameters("test"))


@pytest.mark.parametrize(
    ("kind", "offer", "type_"), [("audio", AUDIO, "simple"), ("video", VIDEO, "simulcast")], ids=["audio", "video"]
)
async def test_a_new_producer_is_known_to_all(
    router: Router, sender: WebRtcTransport, kind: Any, offer: RtpParameters, type_: str
) -> None:
    told = recorded(sender, "newproducer")
    producer = await sender.produce(kind, offer, app_data={"foo": 1})
    assert told == [("newproducer", producer)]
    assert (producer.kind, producer.type, producer.paused, producer.closed) == (kind, type_, False, False)
    assert (producer.score, producer.app_data) == ((), {"foo": 1})
    assert producer.consumable_rtp_parameters.encodings[0].ssrc
    dump = await router.dump()
    assert dump["map_producer_id_consumer_ids"] == {producer.id: []}
    assert dump["map_consumer_id_producer_id"] == {}
    base = await sender.dump()
    assert (base["id"], base["producer_ids"], base["consumer_ids"]) == (sender.id, [producer.id], [])


async def test_header_extensions_and_rtcp_may_be_left_out(sender: WebRtcTransport) -> None:
    producer = await sender.produce("audio", RtpParameters((OPUS_OFFER,), mid="AUDIO2"))
    assert (producer.kind, producer.type, producer.score) == ("audio", "simple", ())
    assert producer.rtp_parameters.rtcp.cname, "it has got one"
    assert len(producer.rtp_parameters.encodings) == 1


@pytest.mark.parametrize(
    ("kind", "offer", "error"),
    [
        ("chicken", AUDIO, InvalidParameters),
        ("audio", RtpParameters(()), InvalidParameters),
        ("audio", changed(AUDIO, "encodings.0.ssrc", "1111"), InvalidParameters),
        ("video", replace(VIDEO, encodings=(), mid=None), InvalidParameters),
        ("video", changed(VIDEO, "codecs.1", rtx(113, 111)), InvalidParameters),
        ("audio", VIDEO, InvalidParameters),
        ("audio", RtpParameters((codec("audio/ISAC", 108, 32000),), encodings=AUDIO.encodings, mid="1"), Unsupported),
        ("video", changed(VIDEO, "codecs.0.parameters", h264_parameters("CHICKEN", 1)), Unsupported),
        ("audio", replace(AUDIO, mid=None), InvalidParameters),  # by what would its packets be recognised?
    ],
)
async def test_what_cannot_be_produced_leaves_the_transport_as_it_was(
    sender: WebRtcTransport, kind: Any, offer: RtpParameters, error: type[Exception]
) -> None:
    told = recorded(sender, "newproducer")
    with pytest.raises(error):
        await sender.produce(kind, offer)
    assert (await sender.dump())["producer_ids"] == []
    assert not told


@pytest.mark.parametrize(
    "second", [changed(AUDIO, "mid", "OTHER"), changed(AUDIO, "encodings.0.ssrc", 34)], ids=["same ssrc", "same mid"]
)
async def test_a_mid_or_an_ssrc_belongs_to_one_producer(sender: WebRtcTransport, second: RtpParameters) -> None:
    first = changed(AUDIO, "encodings.0.ssrc", 33)
    second = second if second.encodings[0].ssrc else changed(second, "encodings.0.ssrc", 33)
    producer = await sender.produce("audio", first)
    with pytest.raises(RequestRefused):
        await sender.produce("audio", second)
    assert (await sender.dump())["producer_ids"] == [producer.id]


@pytest.mark.parametrize(
    ("modes", "type_"),
    [((None,), "simple"), (("L1T3",), "svc"), (("L1T3", "L1T3"), "simulcast"), (("L3T3_KEY",), "svc")],
)
async def test_its_type_is_told_by_its_encodings(sender: WebRtcTransport, modes: tuple[Any, ...], type_: str) -> None:
    assert (await sender.produce("video", vp8(*modes))).type == type_


async def test_the_workers_idea_of_an_audio_producer_is_ours(sender: WebRtcTransport) -> None:
    producer = await sender.produce("audio", AUDIO)
    dump = await producer.dump()
    assert (dump["id"], dump["kind"], dump["type"]) == (producer.id, "audio", "simple")
    parsed = (await producer.dump())["rtp_parameters"]
    assert parsed.codecs == (OPUS_OFFER,)
    assert parsed.header_extensions == AUDIO.header_extensions
    assert [encoding.codec_payload_type for encoding in parsed.encodings] == [0]


async def test_the_workers_idea_of_a_video_producer_is_ours(sender: WebRtcTransport) -> None:
    producer = await sender.produce("video", VIDEO)
    parsed = (await producer.dump())["rtp_parameters"]
    assert [(one.mime_type, one.payload_type, one.channels) for one in parsed.codecs] == [
        ("video/H264", 112, None),
        ("video/rtx", 113, None),
    ]
    assert parsed.codecs[0].parameters == H264.parameters
    assert parsed.codecs[0].rtcp_feedback == H264.rtcp_feedback
    assert parsed.codecs[1].parameters == parameters(apt=112)
    assert [(one.ssrc, one.rtx_ssrc, one.codec_payload_type) for one in parsed.encodings] == [
        (one.ssrc, one.rtx_ssrc, 112) for one in VIDEO.encodings
    ]
    assert parsed.encodings[0].scalability_mode == "L1T3"


async def test_without_packets_there_are_no_statistics(sender: WebRtcTransport) -> None:
    for kind, offer in (("audio", AUDIO), ("video", VIDEO)):
        assert await (await sender.produce(kind, offer)).get_stats() == []  # type: ignore[arg-type]


async def test_pauses_asked_for_at_once_are_told_as_they_take_effect(sender: WebRtcTransport) -> None:
    producer = await sender.produce("audio", AUDIO)
    told = recorded(producer, "pause", "resume")
    await producer.pause()
    assert (producer.paused, (await producer.dump())["paused"]) == (True, True)
    await producer.resume()
    assert (producer.paused, (await producer.dump())["paused"]) == (False, False)
    asks = (producer.pause, producer.resume, producer.pause, producer.pause, producer.pause, producer.resume)
    await asyncio.gather(*(ask() for ask in asks))
    assert told == ["pause", "resume"] * 3
    assert not producer.paused


@pytest.mark.parametrize("types", [("rtp", "pli"), (), ("nack", "fir"), ("keyframe",)])
async def test_traces_are_those_asked_for(sender: WebRtcTransport, types: tuple[str, ...]) -> None:
    producer = await sender.produce("video", VIDEO)
    await producer.enable_trace_event(*types)
    assert set((await producer.dump())["trace_event_types"]) == set(types)


@pytest.mark.parametrize("types", [(123,), ("rtp", 1.5), (None,), ("nack", "FOO")])
async def test_traces_that_there_are_not_are_refused(sender: WebRtcTransport, types: Any) -> None:
    producer = await sender.produce("video", VIDEO)
    with pytest.raises(InvalidParameters):
        await producer.enable_trace_event(*types)
    assert (await producer.dump())["trace_event_types"] == []


async def test_a_closed_producer_is_gone(router: Router, sender: WebRtcTransport) -> None:
    producer = await sender.produce("audio", AUDIO)
    told = recorded(producer, "close", "transportclose")
    producer.close()
    assert told == [("close", CloseReason.REQUESTED)]
    asks = (producer.dump, producer.get_stats, producer.pause, producer.resume, producer.enable_trace_event)
    for ask in asks:
        with pytest.raises(ResourceClosed, match=producer.id):
            await ask()
    dump = await router.dump()
    assert (dump["map_producer_id_consumer_ids"], dump["map_consumer_id_producer_id"]) == ({}, {})
    assert (await sender.dump())["producer_ids"] == []


async def test_a_producer_ends_with_its_transport(sender: WebRtcTransport) -> None:
    producer = await sender.produce("video", VIDEO)
    told = recorded(producer, "close", "transportclose")
    sender.close()
    assert told == ["transportclose", ("close", CloseReason.OWNER_CLOSED)]
    with pytest.raises(ResourceClosed, match=producer.id):
        await producer.dump()
