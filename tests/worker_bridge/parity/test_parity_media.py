"""RTP and RTCP that the test makes, all the way through: lost packets asked for and sent again, key frames asked for,
traces of each kind, SRTP of each suite, and media over DTLS."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, get_args

import pylibsrtp
import pytest
from msgspec.structs import replace

from tests.conftest import eventually
from tests.worker_bridge import rtp_packets
from tests.worker_bridge.household import voice
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_packets import NACK, PLI, Rtp, fir, nack, pli, sender_report, vp8
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import camera
from tests.worker_bridge.webrtc_peer import WebRtcPeer
from worker_bridge.capabilities import PACKET_ID, TRANSPORT_CC, VIDEO_ORIENTATION
from worker_bridge.connectivity import SrtpCryptoSuite, SrtpParameters
from worker_bridge.consumer import Consumer
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer, ProducerScore, VideoOrientation
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities, RtpHeaderExtensionParameters
from worker_bridge.worker_settings import LOG_TAGS, WorkerSettings

VIDEO_SSRC, RTX_SSRC, VIDEO_TYPE, OPUS_TYPE = 2000, 2001, 96, 111
ORIENTATION_ID = 13
OFFER = replace(camera(), header_extensions=(RtpHeaderExtensionParameters(VIDEO_ORIENTATION, ORIENTATION_ID),))
SUITES = {
    "AEAD_AES_256_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
    "AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AES_CM_128_HMAC_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
}


@dataclass
class Line:
    """A camera, its producer, a consumer, and a viewer, on plain transports."""

    camera: RtpPeer
    entrance: PlainTransport
    producer: Producer
    consumer: Consumer
    out: PlainTransport
    viewer: RtpPeer

    def shoot(self, number: int, *, key: bool = False, **more: Any) -> None:
        payload = vp8(b"frame", key=key, picture=number)
        packet = Rtp(VIDEO_SSRC, VIDEO_TYPE, number, 3000 * number, payload, marker=True, **more)
        self.camera.send_packet(self.entrance.tuple, bytes(packet))

    async def until_seen(self, packets: int) -> list[Rtp]:
        def why_not() -> str | None:
            self.viewer.drain()
            return None if len(self.viewer.media) >= packets else f"{len(self.viewer.media)} packets were seen"

        await eventually(why_not)
        return self.viewer.media


@pytest.fixture(params=["quiet", "talkative"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    """Media does not suffer from a worker that logs all it does."""
    if request.param == "quiet":
        return WorkerSettings()
    return WorkerSettings(log_level="debug", log_tags=tuple(LOG_TAGS))


@pytest.fixture
async def line(router: Router, peers: Callable[[], RtpPeer]) -> Line:
    camera, viewer = peers(), peers()
    entrance, out = [await router.create_plain_transport(LOOPBACK) for _ in range(2)]
    await entrance.connect(ip="127.0.0.1", port=camera.port)
    await out.connect(ip="127.0.0.1", port=viewer.port)
    producer = await entrance.produce("video", OFFER)
    capabilities = RtpCapabilities(
        router.rtp_capabilities.codecs,
        tuple(one for one in router.rtp_capabilities.header_extensions if one.uri in (VIDEO_ORIENTATION, PACKET_ID)),
    )
    consumer = await out.consume(producer.id, capabilities)
    return Line(camera, entrance, producer, consumer, out, viewer)


async def until_asked(peer: RtpPeer, kind: tuple[int, int], again: Callable[[], object] = lambda: None) -> Any:
    """The first feedback of that kind that ``peer`` gets; ``again`` is done until it comes."""

    def why_not() -> str | None:
        again()
        peer.drain()
        kinds = [feedback.kind for feedback in peer.feedback]
        return None if kind in kinds else f"asked for {kinds}"

    await eventually(why_not)
    return next(feedback for feedback in peer.feedback if feedback.kind == kind)


# ---------------------------------------------------------------- loss and key frames


async def test_what_is_lost_on_the_way_in_is_asked_for(line: Line) -> None:
    told = recorded(line.producer, "trace")
    await line.producer.enable_trace_event("nack")
    line.shoot(1, key=True)
    line.shoot(2)
    line.shoot(5)
    asked = await until_asked(line.camera, NACK)
    assert (asked.media_ssrc, asked.lost) == (VIDEO_SSRC, [3, 4])
    for number in (3, 4):
        line.shoot(number)
    seen = await line.until_seen(5)
    first = seen[0].sequence_number
    assert sorted((packet.sequence_number - first) % 65536 for packet in seen) == [0, 1, 2, 3, 4]
    [stats] = await line.producer.get_stats()
    assert (stats["nack_count"], stats["nack_packet_count"]) == (1, 2)
    assert [(trace.type, trace.direction) for _, trace in told] == [("nack", "out")]


async def test_what_is_lost_on_the_way_out_is_sent_again(line: Line) -> None:
    told = recorded(line.consumer, "trace")
    await line.consumer.enable_trace_event("nack")
    line.shoot(1, key=True)
    line.shoot(2)
    seen = await line.until_seen(2)
    lost = seen[1]
    [encoding] = line.consumer.rtp_parameters.encodings
    assert encoding.ssrc is not None
    line.viewer.send_packet(line.out.tuple, nack(encoding.ssrc, lost.sequence_number))
    again = (await line.until_seen(3))[2]
    assert again.ssrc == encoding.rtx_ssrc
    assert again.payload_type == line.consumer.rtp_parameters.codecs[1].payload_type
    assert again.payload == lost.sequence_number.to_bytes(2, "big") + lost.payload  # RFC 4588 §4
    stats = (await line.consumer.get_stats())[0]
    assert (stats["nack_count"], stats["packets_retransmitted"]) == (1, 1)
    assert [(trace.type, trace.direction) for _, trace in told] == [("nack", "in")]


async def test_a_key_frame_is_asked_for_all_the_way_to_the_camera(line: Line) -> None:
    [encoding] = line.consumer.rtp_parameters.encodings
    assert encoding.ssrc is not None
    told = recorded(line.producer, "trace"), recorded(line.consumer, "trace")
    await line.producer.enable_trace_event("pli", "keyframe")
    await line.consumer.enable_trace_event("pli", "fir", "keyframe")
    line.shoot(1, key=True)
    await line.until_seen(1)
    line.camera.feedback.clear()
    await line.consumer.request_key_frame()
    asked = await until_asked(line.camera, PLI)
    assert asked.media_ssrc == VIDEO_SSRC
    for request in (pli(encoding.ssrc), fir(encoding.ssrc)):
        line.camera.feedback.clear()
        await until_asked(line.camera, PLI, lambda request=request: line.viewer.send_packet(line.out.tuple, request))
    line.shoot(2, key=True)
    await line.until_seen(2)
    await eventually(lambda: None if len([one for one in told[0] if one[1].type == "keyframe"]) == 2 else f"{told[0]}")
    assert {(trace.type, trace.direction) for _, trace in told[0]} == {("pli", "out"), ("keyframe", "in")}
    assert {(trace.type, trace.direction) for _, trace in told[1]} >= {
        ("pli", "in"),
        ("fir", "in"),
        ("keyframe", "out"),
    }
    assert all(trace.info["ssrc"] == VIDEO_SSRC for _, trace in told[0] if trace.type == "pli")
    [stats] = await line.producer.get_stats()
    assert stats["pli_count"] >= 3


@pytest.mark.parametrize(("delay_ms", "asked"), [(0, 2), (60_000, 1)])
async def test_key_frames_are_not_asked_for_more_often_than_allowed(
    router: Router, peers: Callable[[], RtpPeer], delay_ms: int, asked: int
) -> None:
    camera, entrance = peers(), await router.create_plain_transport(LOOPBACK)
    await entrance.connect(ip="127.0.0.1", port=camera.port)
    producer = await entrance.produce("video", OFFER, key_frame_request_delay_ms=delay_ms)

    async def shot(number: int) -> None:
        packet = Rtp(
            VIDEO_SSRC, VIDEO_TYPE, number, 3000 * number, vp8(b"frame", key=True, picture=number), marker=True
        )
        camera.send_packet(entrance.tuple, bytes(packet))

        async def why_not() -> str | None:
            return None if await producer.get_packet_count() == number else "the packet has not come"

        await eventually(why_not)

    await shot(1)
    out = await router.create_direct_transport()
    consumer = await out.consume(producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
    await consumer.request_key_frame()
    await shot(2)  # what was asked for is here, so that more may be asked for
    await consumer.request_key_frame()
    assert (await producer.get_stats())[0]["pli_count"] == asked


# ---------------------------------------------------------------- what is told of packets


async def test_packets_are_traced_with_their_numbers(line: Line) -> None:
    told = recorded(line.producer, "trace"), recorded(line.consumer, "trace")
    await line.producer.enable_trace_event("rtp", "sr")
    await line.consumer.enable_trace_event("rtp")
    line.shoot(1, key=True)
    await line.until_seen(1)
    line.camera.send_packet(line.entrance.tuple, sender_report(VIDEO_SSRC, 1_700_000_000.5, 3000, packets=1, octets=12))
    await eventually(lambda: None if len(told[0]) == 2 and told[1] else f"told {told}")
    (_, packet), (_, report) = told[0]
    assert (packet.type, packet.direction, packet.info["is_rtx"]) == ("rtp", "in", False)
    rtp = packet.info["rtp_packet"]
    assert (rtp["payload_type"], rtp["sequence_number"], rtp["ssrc"]) == (VIDEO_TYPE, 1, VIDEO_SSRC)
    assert (rtp["timestamp"], rtp["marker"], rtp["is_key_frame"]) == (3000, True, True)
    assert packet.timestamp > 0
    assert (report.type, report.direction) == ("sr", "in")
    assert (report.info["ssrc"], report.info["rtp_ts"]) == (VIDEO_SSRC, 3000)
    assert (report.info["packet_count"], report.info["octet_count"]) == (1, 12)
    assert report.info["ntp_frac"] == 2**31
    [(_, sent)] = told[1]
    assert (sent.type, sent.direction) == ("rtp", "out")
    assert sent.info["rtp_packet"]["ssrc"] == line.consumer.rtp_parameters.encodings[0].ssrc


async def test_how_the_camera_is_held_is_told_when_it_changes(line: Line) -> None:
    told = recorded(line.producer, "videoorientationchange")
    for number, value in enumerate((0b0000, 0b0001, 0b0001, 0b1010, 0b0111), start=1):
        line.shoot(number, key=number == 1, extensions={ORIENTATION_ID: bytes([value])})
    await eventually(lambda: None if len(told) == 4 else f"told {told}")
    assert [orientation for _, orientation in told] == [
        VideoOrientation(camera=False, flip=False, rotation=0),
        VideoOrientation(camera=False, flip=False, rotation=90),
        VideoOrientation(camera=True, flip=False, rotation=180),
        VideoOrientation(camera=False, flip=True, rotation=270),
    ]


async def test_scores_come_with_the_packets(line: Line) -> None:
    told = recorded(line.producer, "score"), recorded(line.consumer, "score")
    line.shoot(1, key=True)
    await eventually(lambda: None if told[0] and told[1] else f"told {told}")
    assert line.producer.score == (ProducerScore(0, VIDEO_SSRC, 10),)
    assert line.consumer.score.producer_score == 10
    assert line.consumer.score.producer_scores == (10,)


async def test_packets_are_numbered_for_who_wants_to_know(router: Router, peers: Callable[[], RtpPeer]) -> None:
    speaker, entrance = peers(), await router.create_plain_transport(LOOPBACK, comedia=True)
    producer = await entrance.produce("audio", voice(7), enable_mediasoup_packet_id_header_extension=True)
    out = await router.create_direct_transport()
    consumer = await out.consume(producer.id, router.rtp_capabilities)
    heard = recorded(consumer, "rtp")
    number = next(one.id for one in consumer.rtp_parameters.header_extensions if one.uri == PACKET_ID)
    for _ in range(3):
        speaker.send(entrance.tuple, ssrc=7, payload_type=OPUS_TYPE)
    await eventually(lambda: None if len(heard) == 3 else f"{len(heard)} packets came")
    ids = [int.from_bytes(Rtp.parse(packet).extensions[number], "big") for _, packet in heard]
    assert ids == [ids[0], ids[0] + 1, ids[0] + 2]


@pytest.mark.parametrize("ignore_dtx", [False, True])
async def test_packets_of_silence_may_be_left_out(
    router: Router, peers: Callable[[], RtpPeer], ignore_dtx: bool
) -> None:
    speaker, entrance = peers(), await router.create_plain_transport(LOOPBACK, comedia=True)
    producer = await entrance.produce("audio", voice(7))
    out = await router.create_direct_transport()
    consumer = await out.consume(producer.id, router.rtp_capabilities, ignore_dtx=ignore_dtx)
    heard = recorded(consumer, "rtp")
    silence, words = b"\xf8\xff\xfe"[:1], b"\x00words that are longer"
    for payload in (words, silence, silence, words):
        speaker.send(entrance.tuple, payload, ssrc=7, payload_type=OPUS_TYPE)
    expected = 2 if ignore_dtx else 4
    await eventually(lambda: None if len(heard) >= expected else f"{len(heard)} packets came")
    assert [Rtp.parse(packet).payload for _, packet in heard].count(words) == 2
    assert len(heard) == expected


async def test_rtcp_has_a_peer_of_its_own_where_it_has_a_port(router: Router, peers: Callable[[], RtpPeer]) -> None:
    transport, peer = await router.create_plain_transport(LOOPBACK, rtcp_mux=False, comedia=True), peers()
    told = recorded(transport, "tuple", "rtcptuple")
    assert transport.rtcp_tuple is not None
    peer.send_packet(transport.tuple, bytes(Rtp(1, OPUS_TYPE, 1, 1)))
    peer.send_packet(transport.rtcp_tuple, sender_report(1, time.time(), 1))
    await eventually(lambda: None if len(told) == 2 else f"told {told}")
    assert dict(told) == {"tuple": transport.tuple, "rtcptuple": transport.rtcp_tuple}
    assert transport.rtcp_tuple.remote_port == peer.port


# ---------------------------------------------------------------- SRTP and DTLS


def session(parameters: SrtpParameters, *, inbound: bool) -> pylibsrtp.Session:
    profile, _ = SUITES[parameters.crypto_suite]
    ssrc_type = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    key = base64.b64decode(parameters.key_base64)
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=ssrc_type, srtp_profile=profile))


def test_every_suite_is_tried() -> None:
    assert set(SUITES) == set(get_args(SrtpCryptoSuite))


@pytest.mark.parametrize("suite", SUITES)
async def test_a_voice_goes_in_and_out_encrypted(
    router: Router, peers: Callable[[], RtpPeer], suite: SrtpCryptoSuite
) -> None:
    ours = SrtpParameters(suite, base64.b64encode(bytes(range(SUITES[suite][1]))).decode())
    transport, peer = await router.create_plain_transport(LOOPBACK, srtp_crypto_suite=suite), peers()
    await transport.connect(ip="127.0.0.1", port=peer.port, srtp_parameters=ours)
    theirs = transport.srtp_parameters
    assert theirs is not None
    assert theirs.crypto_suite == suite
    producer = await transport.produce("audio", voice(7))
    await transport.consume(producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
    protect, unprotect = session(ours, inbound=False), session(theirs, inbound=True)
    words = [f"a secret {number}".encode() for number in range(5)]
    for number, word in enumerate(words):
        sealed = protect.protect(bytes(Rtp(7, OPUS_TYPE, number + 1, 960 * number, word)))
        assert word not in sealed
        peer.send_packet(transport.tuple, sealed)
    heard: list[bytes] = []
    while len(heard) < len(words):
        sealed = await peer.receive_packet()
        if sealed[1] & 0x7F == 100:
            heard.append(Rtp.parse(unprotect.unprotect(sealed)).payload)
    assert heard == words
    peer.send_packet(transport.tuple, bytes(Rtp(7, OPUS_TYPE, 99, 960, b"in the clear")))
    assert (await producer.get_stats())[0]["packet_count"] == len(words)


@pytest.fixture
async def call(router: Router) -> AsyncIterator[tuple[Any, Any, WebRtcPeer, WebRtcPeer]]:
    """Two browsers, one that sends and one that receives, and their transports."""
    sending, receiving = [await router.create_webrtc_transport([LOOPBACK]) for _ in range(2)]
    async with WebRtcPeer.of(sending) as sender, WebRtcPeer.of(receiving, "server") as receiver:
        yield sending, receiving, sender, receiver


async def test_media_crosses_from_one_browser_to_another(router: Router, call: Any) -> None:
    sending, receiving, sender, receiver = call
    producer = await sending.produce("video", OFFER)
    consumer = await receiving.consume(producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
    for number in range(1, 21):
        payload = vp8(bytes([number]) * 50, key=number == 1, picture=number)
        await sender.send(bytes(Rtp(VIDEO_SSRC, VIDEO_TYPE, number, 3000 * number, payload, marker=True)))
    await eventually(lambda: None if len(receiver.media) == 20 else f"{len(receiver.media)} packets came")
    assert [packet.payload[-1] for packet in receiver.media] == list(range(1, 21))
    lost = receiver.media[10]
    await receiver.send(nack(lost.ssrc, lost.sequence_number))
    await eventually(lambda: None if len(receiver.media) == 21 else "it was not sent again")
    assert receiver.media[-1].payload == lost.sequence_number.to_bytes(2, "big") + lost.payload

    async def why_not() -> str | None:
        await receiver.send(pli(lost.ssrc))
        return None if PLI in [one.kind for one in sender.feedback] else "no key frame was asked for"

    await eventually(why_not)
    [stats] = await sending.get_stats()
    assert stats["rtp_bytes_received"] > 20 * 50
    assert consumer.score.producer_score == 10


async def test_a_limit_of_what_comes_in_is_told_to_the_sender(call: Any) -> None:
    sending, _, sender, _ = call
    await sending.set_max_incoming_bitrate(300_000)
    await sending.produce("video", replace(OFFER, header_extensions=(RtpHeaderExtensionParameters(TRANSPORT_CC, 3),)))
    number = 0

    async def why_not() -> str | None:
        nonlocal number
        number += 1
        payload = vp8(b"x" * 500, key=number == 1, picture=number)
        counted = {3: number.to_bytes(2, "big")}
        packet = Rtp(VIDEO_SSRC, VIDEO_TYPE, number, 3000 * number, payload, marker=True, extensions=counted)
        await sender.send(bytes(packet))
        told = [remb_bitrate(one.body) for one in sender.feedback if one.kind == rtp_packets.REMB]
        kinds = {one.kind for one in sender.feedback}
        return None if told and rtp_packets.TRANSPORT_CC in kinds else f"told {told}, {kinds}"

    await eventually(why_not)
    assert {remb_bitrate(one.body) for one in sender.feedback if one.kind == rtp_packets.REMB} == {300_000}


def remb_bitrate(body: bytes) -> int:
    """Bits per second: draft-alvestrand-rmcat-remb-03 §2.2."""
    assert body[8:12] == b"REMB"
    word = int.from_bytes(body[12:16], "big")
    return (word & 0x3FFFF) << (word >> 18 & 0x3F)


async def test_bandwidth_is_estimated_and_traced(router: Router) -> None:
    sending = await router.create_webrtc_transport([LOOPBACK])
    receiving = await router.create_webrtc_transport([LOOPBACK], initial_available_outgoing_bitrate=1_000_000)
    told = recorded(receiving, "trace")
    await receiving.enable_trace_event("bwe", "probation")
    async with WebRtcPeer.of(sending) as sender, WebRtcPeer.of(receiving) as receiver:
        producer = await sending.produce("video", OFFER)
        consumer = await receiving.consume(producer.id, router.rtp_capabilities)
        counted = next(one.id for one in consumer.rtp_parameters.header_extensions if one.uri == TRANSPORT_CC)
        number = 0

        async def why_not() -> str | None:
            nonlocal number
            number += 1
            payload = vp8(b"x" * 1000, key=number % 30 == 1, picture=number)
            packet = Rtp(VIDEO_SSRC, VIDEO_TYPE, number, 3000 * number, payload, marker=True)
            await sender.send(bytes(packet))
            came = [one.extensions[counted] for one in receiver.media if counted in one.extensions]
            receiver.media.clear()
            if came:
                first = int.from_bytes(came[0], "big")
                await receiver.send(rtp_packets.transport_feedback(packet.ssrc, first, len(came), number))
            kinds = {trace.type for _, trace in told}
            return None if kinds == {"bwe", "probation"} else f"traced {kinds}"

        await eventually(why_not)
        assert (await receiving.get_stats())[0]["available_outgoing_bitrate"] > 0
    bwe = next(trace for _, trace in told if trace.type == "bwe")
    assert (bwe.direction, bwe.info["bwe_type"]) == ("out", "transport-cc")
    assert bwe.info["start_bitrate"] == 1_000_000
    assert bwe.info["available_bitrate"] > 0
