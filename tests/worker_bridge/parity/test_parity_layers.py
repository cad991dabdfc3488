"""Simulcast and SVC with packets that the test makes: which layer arrives, key frames that are asked for, and the one
stream that the receiver sees whatever is switched."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from tests.conftest import eventually
from tests.worker_bridge.rtp_packets import PLI, Rtp, sender_report, vp8, vp9
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import NACK, VP9, camera, codec
from tests.worker_bridge.rtp_samples import PLI as PLI_FEEDBACK
from worker_bridge.consumer import Consumer, ConsumerLayers
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities, RtpEncodingParameters, RtpParameters
from worker_bridge.worker import Worker

SSRCS = (11, 22, 33)
PAYLOAD_TYPE, CLOCK_RATE, FRAMES_PER_S = 96, 90_000, 30
FRAMES_PER_REPORT = 5  # by its reports the worker knows which frames of two streams show the same moment
LOWEST, MIDDLE, HIGHEST = (ConsumerLayers(layer, 0) for layer in range(3))


class Studio:
    """A camera that sends, a router, and a viewer."""

    def __init__(self, router: Router, camera: RtpPeer, entrance: PlainTransport, viewer: RtpPeer) -> None:
        self.router, self.camera, self.entrance, self.viewer = router, camera, entrance, viewer
        self.producer: Producer
        self.consumer: Consumer
        self.layers: list[ConsumerLayers | None] = []
        self._frame = 0
        self._sent: Counter[int] = Counter()

    @classmethod
    async def open(cls, router: Router, peers: Callable[[], RtpPeer], parameters: RtpParameters) -> Studio:
        camera, viewer = peers(), peers()
        entrance = await router.create_plain_transport(LOOPBACK)
        await entrance.connect(ip="127.0.0.1", port=camera.port)
        studio = cls(router, camera, entrance, viewer)
        studio.producer = await entrance.produce("video", replace(parameters, header_extensions=()))
        out = await router.create_plain_transport(LOOPBACK)
        await out.connect(ip="127.0.0.1", port=viewer.port)
        studio.consumer = await out.consume(studio.producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
        studio.consumer.events.on("layerschange", studio.layers.append)
        return studio

    def shoot(self, payloads: Callable[[int, bool], Iterator[tuple[int, bytes]]]) -> None:
        """One picture: a packet each of what ``payloads`` makes of its number; a key frame where one was asked for."""
        self.camera.drain()
        key = self._frame == 0 or any(feedback.kind == PLI for feedback in self.camera.feedback)
        self.camera.feedback.clear()
        self._frame += 1
        timestamp = self._frame * CLOCK_RATE // FRAMES_PER_S
        for ssrc, payload in payloads(self._frame, key):
            self._sent[ssrc] += 1
            if self._frame % FRAMES_PER_REPORT == 0:
                self.camera.send_packet(self.entrance.tuple, sender_report(ssrc, time.time(), timestamp))
            packet = Rtp(ssrc, PAYLOAD_TYPE, self._sent[ssrc], timestamp, payload, marker=True)
            self.camera.send_packet(self.entrance.tuple, bytes(packet))

    async def until_seen(self, payloads: Callable[[int, bool], Iterator[tuple[int, bytes]]], ending: bytes) -> None:
        """Shoot until what arrives is of that layer: its last byte says so."""

        def why_not() -> str | None:
            self.shoot(payloads)
            self.viewer.drain()
            last = self.viewer.media[-1:]
            return None if last and last[0].payload.endswith(ending) else f"saw {last}, layers {self.layers}"

        await eventually(why_not)


def simulcast(picture: int, key: bool) -> Iterator[tuple[int, bytes]]:
    for layer, ssrc in enumerate(SSRCS):
        yield ssrc, vp8(b"frame" + bytes([layer]), key=key, picture=picture)


def svc(picture: int, key: bool) -> Iterator[tuple[int, bytes]]:
    for layer in range(len(SSRCS)):
        yield SSRCS[0], vp9(b"frame" + bytes([layer]), key=key, picture=picture, spatial_layer=layer)


async def test_layers_of_a_simulcast_stream_are_switched_at_key_frames(
    router: Router, peers: Callable[[], RtpPeer]
) -> None:
    encodings = tuple(RtpEncodingParameters(ssrc=ssrc) for ssrc in SSRCS)
    studio = await Studio.open(router, peers, camera(encodings=encodings))
    assert (studio.producer.type, studio.consumer.type) == ("simulcast", "simulcast")
    for layers in (HIGHEST, LOWEST, MIDDLE, HIGHEST):
        await studio.consumer.set_preferred_layers(layers)
        await studio.until_seen(simulcast, bytes([layers.spatial_layer]))
        await eventually(lambda layers=layers: studio.layers[-1:] != [layers] and f"told {studio.layers}")
        assert studio.consumer.current_layers == layers
    seen = studio.viewer.media
    [encoding] = studio.consumer.rtp_parameters.encodings
    assert {packet.ssrc for packet in seen} == {encoding.ssrc}, "one stream, whatever is switched"
    assert [packet.sequence_number for packet in seen] == [seen[0].sequence_number + n for n in range(len(seen))]
    assert len(await studio.producer.get_stats()) == len(SSRCS)


async def test_layers_of_an_svc_stream_are_let_through_or_not(worker: Worker, peers: Callable[[], RtpPeer]) -> None:
    router = await worker.create_router([VP9])
    encodings = (RtpEncodingParameters(ssrc=SSRCS[0], scalability_mode="L3T1"),)
    parameters = camera(codec("video/VP9", PAYLOAD_TYPE, rtcp_feedback=(NACK, PLI_FEEDBACK)), encodings=encodings)
    studio = await Studio.open(router, peers, parameters)
    assert (studio.producer.type, studio.consumer.type) == ("svc", "svc")
    for layers in (HIGHEST, LOWEST, MIDDLE):
        await studio.consumer.set_preferred_layers(layers)
        await studio.until_seen(svc, bytes([layers.spatial_layer]))
        await eventually(lambda layers=layers: studio.layers[-1:] != [layers] and f"told {studio.layers}")
