"""Consumer: what it is when it is made, what is refused, its dump and statistics, pausing, layers, priority, traces,
and its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tests.conftest import eventually
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.parity.test_parity_producer import AUDIO, vp8
from tests.worker_bridge.parity.test_parity_producer import VIDEO as CAMERA
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import FIR, NACK, PLI, REMB, VP8, VP9, codec, h264_codec
from worker_bridge.capabilities import ABS_SEND_TIME, MID, SSRC_AUDIO_LEVEL, TIME_OFFSET, VIDEO_ORIENTATION
from worker_bridge.consumer import Consumer, ConsumerLayers, ConsumerScore
from worker_bridge.errors import BridgeError, InvalidParameters, NotFound, ResourceClosed, Unsupported
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.rtp import (
    RtpCapabilities,
    RtpCodecCapability,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpParameters,
    parameters,
)
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

FEEDBACK = (NACK, PLI, FIR, REMB)
DEVICE = RtpCapabilities(
    codecs=(
        RtpCodecCapability("audio", "audio/opus", 48000, 100, 2, rtcp_feedback=(NACK,)),
        replace(h264_codec("4d0032", 1), preferred_payload_type=101, rtcp_feedback=FEEDBACK),
        RtpCodecCapability("video", "video/rtx", 90000, 102, parameters=parameters(apt=101)),
        replace(VP8, preferred_payload_type=103, rtcp_feedback=FEEDBACK),
        replace(VP9, preferred_payload_type=104, rtcp_feedback=FEEDBACK),
    ),
    header_extensions=(
        RtpHeaderExtension(MID, 1),
        RtpHeaderExtension(ABS_SEND_TIME, 4),
        RtpHeaderExtension(SSRC_AUDIO_LEVEL, 6, "audio"),
        RtpHeaderExtension(VIDEO_ORIENTATION, 8, "video"),
        RtpHeaderExtension(TIME_OFFSET, 9, "video"),
    ),
)
"""Its payload types are not the router's, which count: a consumer keeps to the router."""
VIDEO = replace(CAMERA, encodings=tuple(replace(one, scalability_mode="L1T5") for one in CAMERA.encodings))


@pytest.fixture
async def audio(sender: WebRtcTransport) -> Producer:
    return await sender.produce("audio", replace(AUDIO, msid="1111 2222"))


@pytest.fixture
async def video(sender: WebRtcTransport) -> Producer:
    return await sender.produce("video", VIDEO)


@pytest.fixture
async def ear(receiver: WebRtcTransport, audio: Producer) -> Consumer:
    return await receiver.consume(audio.id, DEVICE)


@pytest.fixture
async def eye(receiver: WebRtcTransport, video: Producer) -> Consumer:
    return await receiver.consume(video.id, DEVICE)


# ---------------------------------------------------------------- made


async def test_a_new_audio_consumer_is_known_to_all(router: Router, receiver: WebRtcTransport, audio: Producer) -> None:
    told = recorded(receiver, "newconsumer")
    assert router.can_consume(audio.id, DEVICE)
    consumer = await receiver.consume(audio.id, DEVICE, app_data={"baz": "LOL"})
    assert told == [("newconsumer", consumer)]
    assert (consumer.producer_id, consumer.kind, consumer.type) == (audio.id, "audio", "simple")
    assert (consumer.closed, consumer.paused, consumer.producer_paused, consumer.priority) == (False, False, False, 1)
    assert consumer.score == ConsumerScore(10, 0, (0,))
    assert (consumer.preferred_layers, consumer.current_layers) == (None, None)
    assert consumer.app_data == {"baz": "LOL"}
    rtp = consumer.rtp_parameters
    assert (rtp.mid, rtp.msid) == ("0", "1111 2222")
    assert rtp.codecs == (replace(AUDIO.codecs[0], payload_type=100, rtcp_feedback=()),), "no NACK without RTX"
    dump = await router.dump()
    assert dump["map_producer_id_consumer_ids"] == {audio.id: [consumer.id]}
    assert dump["map_consumer_id_producer_id"] == {consumer.id: audio.id}
    base = await receiver.dump()
    assert (base["producer_ids"], base["consumer_ids"]) == ([], [consumer.id])


async def test_a_consumer_of_a_paused_simulcast_producer(receiver: WebRtcTransport, video: Producer) -> None:
    await video.pause()
    consumer = await receiver.consume(video.id, DEVICE, paused=True, preferred_layers=ConsumerLayers(12, 0))
    assert (consumer.kind, consumer.type) == ("video", "simulcast")
    assert (consumer.paused, consumer.producer_paused) == (True, True)
    assert consumer.score == ConsumerScore(10, 0, (0, 0, 0, 0))
    assert consumer.preferred_layers == ConsumerLayers(3, 0), "the highest that there is"
    assert consumer.current_layers is None
    media, repair = consumer.rtp_parameters.codecs
    assert (media.mime_type, media.payload_type, media.rtcp_feedback) == ("video/H264", 103, FEEDBACK)
    assert media.parameters == VIDEO.codecs[0].parameters
    assert (repair.mime_type, repair.payload_type, repair.parameters) == ("video/rtx", 104, parameters(apt=103))
    assert (consumer.rtp_parameters.mid, consumer.rtp_parameters.msid) == ("0", None)


async def test_a_pipe_consumer_takes_every_encoding(receiver: WebRtcTransport, video: Producer) -> None:
    await video.pause()
    consumer = await receiver.consume(video.id, DEVICE, pipe=True)
    assert (consumer.type, consumer.paused, consumer.producer_paused) == ("pipe", False, True)
    assert consumer.rtp_parameters.mid is None
    assert len(consumer.rtp_parameters.encodings) == len(VIDEO.encodings)
    assert [one.payload_type for one in consumer.rtp_parameters.codecs] == [103, 104]
    assert consumer.score == ConsumerScore(10, 10, (0, 0, 0, 0))
    assert (consumer.preferred_layers, consumer.current_layers) == (None, None)


async def test_audio_is_repaired_where_that_is_asked_for(receiver: WebRtcTransport, audio: Producer) -> None:
    consumer = await receiver.consume(audio.id, DEVICE, enable_rtx=True)
    assert [one.rtcp_feedback for one in consumer.rtp_parameters.codecs] == [(NACK,)]


async def test_a_mid_may_be_chosen(receiver: WebRtcTransport, audio: Producer) -> None:
    mids = [
        (await receiver.consume(audio.id, DEVICE, mid=mid)).rtp_parameters.mid for mid in (None, "custom-mid", None)
    ]
    assert mids == ["0", "custom-mid", "1"]


async def test_what_nobody_produces_cannot_be_consumed(receiver: WebRtcTransport) -> None:
    with pytest.raises(NotFound, match="12345678"):
        await receiver.consume("12345678", DEVICE)


@pytest.mark.parametrize(
    "capabilities", [RtpCapabilities(), RtpCapabilities((RtpCodecCapability("audio", "audio/ISAC", 32000, 100, 1),))]
)
async def test_what_a_device_cannot_decode_is_not_sent_to_it(
    router: Router, receiver: WebRtcTransport, audio: Producer, capabilities: RtpCapabilities
) -> None:
    assert not router.can_consume(audio.id, capabilities)
    with pytest.raises(Unsupported):
        await receiver.consume(audio.id, capabilities)
    assert (await receiver.dump())["consumer_ids"] == []


@pytest.mark.parametrize(("modes", "type_"), [((None,), "simple"), (("L1T3",), "svc"), (("L1T3", "L1T3"), "simulcast")])
async def test_its_type_is_its_producers(
    sender: WebRtcTransport, receiver: WebRtcTransport, modes: tuple[Any, ...], type_: str
) -> None:
    producer = await sender.produce("video", vp8(*modes))
    assert (await receiver.consume(producer.id, DEVICE)).type == producer.type == type_


# ---------------------------------------------------------------- dump and statistics


async def test_the_workers_idea_of_an_audio_consumer_is_ours(ear: Consumer, audio: Producer) -> None:
    dump, parsed = await ear.dump(), (await ear.dump())["rtp_parameters"]
    assert (dump["id"], dump["producer_id"], dump["kind"], dump["type"]) == (ear.id, audio.id, "audio", "simple")
    assert (dump["paused"], dump["producer_paused"], dump["priority"]) == (False, False, 1)
    assert list(dump["supported_codec_payload_types"]) == [100]
    assert [one["ssrc"] for one in dump["consumable_rtp_encodings"]] == [ssrc_of(audio.consumable_rtp_parameters)]
    assert parsed.codecs == ear.rtp_parameters.codecs
    assert [(one.uri, one.id) for one in parsed.header_extensions] == [
        (MID, 1),
        (ABS_SEND_TIME, 4),
        (SSRC_AUDIO_LEVEL, 6),
    ]
    assert [(one.ssrc, one.codec_payload_type) for one in parsed.encodings] == [(ssrc_of(ear.rtp_parameters), 100)]
    assert parsed.msid == "1111 2222"


async def test_the_workers_idea_of_a_video_consumer_is_ours(eye: Consumer, video: Producer) -> None:
    dump, parsed = await eye.dump(), (await eye.dump())["rtp_parameters"]
    assert (dump["id"], dump["producer_id"], dump["kind"], dump["type"]) == (eye.id, video.id, "video", "simulcast")
    assert list(dump["supported_codec_payload_types"]) == [103]
    assert [(one["ssrc"], one["scalability_mode"]) for one in dump["consumable_rtp_encodings"]] == [
        (one.ssrc, "L1T5") for one in video.consumable_rtp_parameters.encodings
    ]
    assert parsed.codecs == eye.rtp_parameters.codecs
    assert [(one.uri, one.id) for one in parsed.header_extensions] == [
        (MID, 1),
        (ABS_SEND_TIME, 4),
        (VIDEO_ORIENTATION, 8),
        (TIME_OFFSET, 9),
    ]
    [ours], [theirs] = eye.rtp_parameters.encodings, parsed.encodings
    assert (theirs.ssrc, theirs.rtx_ssrc, theirs.codec_payload_type) == (ours.ssrc, ours.rtx_ssrc, 103)
    assert theirs.scalability_mode == "L4T5"
    assert parsed.msid is None


def ssrc_of(rtp: RtpParameters) -> int | None:
    return rtp.encodings[0].ssrc


async def test_statistics_name_the_stream_before_the_first_packet(ear: Consumer, eye: Consumer) -> None:
    for consumer in (ear, eye):
        [stats] = await consumer.get_stats()
        mime_type = consumer.rtp_parameters.codecs[0].mime_type
        assert (stats["type"], stats["kind"], stats["mime_type"]) == ("outbound-rtp", consumer.kind, mime_type)
        assert stats["ssrc"] == ssrc_of(consumer.rtp_parameters)


# ---------------------------------------------------------------- what can be asked of it


async def test_pauses_asked_for_at_once_are_told_as_they_take_effect(ear: Consumer) -> None:
    told = recorded(ear, "pause", "resume")
    await ear.pause()
    assert (ear.paused, (await ear.dump())["paused"]) == (True, True)
    await ear.resume()
    assert (ear.paused, (await ear.dump())["paused"]) == (False, False)
    await asyncio.gather(*(ask() for ask in (ear.pause, ear.resume, ear.pause, ear.pause, ear.pause, ear.resume)))
    assert told == ["pause", "resume"] * 3


async def test_its_producers_pauses_are_told_as_they_come(ear: Consumer, audio: Producer) -> None:
    told = recorded(ear, "pause", "resume", "producerpause", "producerresume")
    await asyncio.gather(audio.pause(), audio.resume())
    await eventually(lambda: None if len(told) == 4 else f"told {told}")
    assert [one for one in told if not one.startswith("producer")] == ["pause", "resume"]
    assert [one for one in told if one.startswith("producer")] == ["producerpause", "producerresume"]
    state: list[bool] = []
    for event in ("producerpause", "producerresume"):
        ear.events.on(event, lambda: state.append(audio.paused))
    paused = ear.wait_for("producerpause")
    await audio.pause()
    await paused
    assert (ear.paused, ear.producer_paused) == (False, True)
    resumed = ear.wait_for("producerresume")
    await audio.resume()
    await resumed
    assert (ear.paused, ear.producer_paused) == (False, False)
    assert state == [True, False], "the producer's own state comes first"


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        (ConsumerLayers(2, 3), ConsumerLayers(2, 3)),
        (ConsumerLayers(3), ConsumerLayers(3, 4)),
        (ConsumerLayers(3, 0), ConsumerLayers(3, 0)),
        (ConsumerLayers(66, 66), ConsumerLayers(3, 4)),
    ],
)
async def test_layers_are_those_asked_for_as_far_as_there_are_any(
    eye: Consumer, ear: Consumer, wanted: ConsumerLayers, got: ConsumerLayers
) -> None:
    await eye.set_preferred_layers(wanted)
    assert eye.preferred_layers == got
    await ear.set_preferred_layers(wanted)
    assert ear.preferred_layers is None


@pytest.mark.parametrize("layers", [(None,), ("high",), (-1,), (1, 256)])
async def test_layers_that_are_none_are_refused(eye: Consumer, layers: Any) -> None:
    before = eye.preferred_layers
    with pytest.raises(BridgeError):
        await eye.set_preferred_layers(ConsumerLayers(*layers))
    assert eye.preferred_layers == before


@pytest.mark.parametrize(
    ("mode", "wanted", "got"),
    [
        ("L3T3", ConsumerLayers(1, 0), ConsumerLayers(1, 0)),
        ("L3T3", ConsumerLayers(9, 9), ConsumerLayers(2, 2)),
        ("L3T3", ConsumerLayers(1), ConsumerLayers(1, 2)),
        (None, ConsumerLayers(1, 0), ConsumerLayers(1, 0)),
        (None, ConsumerLayers(9, 9), ConsumerLayers(2, 2)),
    ],
)
async def test_layers_may_be_chosen_from_the_start(
    worker: Worker, mode: str | None, wanted: ConsumerLayers, got: ConsumerLayers
) -> None:
    router = await worker.create_router([VP8, VP9])
    sender, receiver = [await router.create_webrtc_transport([LOOPBACK]) for _ in range(2)]
    offer = vp8("L1T3", "L1T3", "L1T3")
    if mode:
        svc = (RtpEncodingParameters(ssrc=7, scalability_mode=mode),)
        offer = replace(offer, codecs=(codec("video/VP9", 98),), encodings=svc)
    producer = await sender.produce("video", offer)
    consumer = await receiver.consume(producer.id, DEVICE, paused=True, preferred_layers=wanted)
    assert consumer.type == ("svc" if mode else "simulcast")
    assert consumer.preferred_layers == got


async def test_its_priority_can_be_raised_and_taken_back(eye: Consumer) -> None:
    await eye.set_priority(2)
    assert (eye.priority, (await eye.dump())["priority"]) == (2, 2)
    for wrong in (0, 256, None, "foo"):
        with pytest.raises(InvalidParameters):
            await eye.set_priority(wrong)  # type: ignore[arg-type]
    assert eye.priority == 2
    await eye.unset_priority()
    assert (eye.priority, (await eye.dump())["priority"]) == (1, 1)


@pytest.mark.parametrize("types", [("rtp", "pli"), (), ("nack", "fir"), ("keyframe",)])
async def test_traces_are_those_asked_for(eye: Consumer, types: tuple[str, ...]) -> None:
    await eye.enable_trace_event(*types)
    assert set((await eye.dump())["trace_event_types"]) == set(types)


@pytest.mark.parametrize("types", [(123,), ("rtp", 1.5), (None,), ("nack", "FOO"), ("sr",)])
async def test_traces_that_there_are_not_are_refused(eye: Consumer, types: Any) -> None:
    with pytest.raises(InvalidParameters):
        await eye.enable_trace_event(*types)
    assert (await eye.dump())["trace_event_types"] == []


# ---------------------------------------------------------------- its end


async def test_a_closed_consumer_is_gone(
    router: Router, receiver: WebRtcTransport, ear: Consumer, eye: Consumer
) -> None:
    told = recorded(ear, "close", "transportclose", "producerclose")
    ear.close()
    assert told == [("close", CloseReason.REQUESTED)]
    for ask in (
        ear.dump,
        ear.get_stats,
        ear.pause,
        ear.resume,
        lambda: ear.set_preferred_layers(ConsumerLayers(1)),
        lambda: ear.set_priority(2),
        ear.request_key_frame,
        ear.enable_trace_event,
    ):
        with pytest.raises(ResourceClosed, match=ear.id):
            await ask()
    dump = await router.dump()
    assert dump["map_producer_id_consumer_ids"] == {ear.producer_id: [], eye.producer_id: [eye.id]}
    assert dump["map_consumer_id_producer_id"] == {eye.id: eye.producer_id}
    assert (await receiver.dump())["consumer_ids"] == [eye.id]


async def test_a_consumer_ends_with_its_producer(ear: Consumer, audio: Producer) -> None:
    told = recorded(ear, "close", "producerclose", "transportclose")
    audio.close()
    await eventually(lambda: None if ear.closed else "it is open")
    assert told == ["producerclose", ("close", CloseReason.PRODUCER_CLOSED)]
    with pytest.raises(ResourceClosed, match=ear.id):
        await ear.dump()


async def test_a_consumer_ends_with_its_transport(router: Router, receiver: WebRtcTransport, ear: Consumer) -> None:
    told = recorded(ear, "close", "producerclose", "transportclose")
    receiver.close()
    assert told == ["transportclose", ("close", CloseReason.OWNER_CLOSED)]
    dump = await router.dump()
    assert dump["map_consumer_id_producer_id"] == {}
    assert dump["map_producer_id_consumer_ids"] == {ear.producer_id: []}
    with pytest.raises(ResourceClosed, match=ear.id):
        await ear.dump()
