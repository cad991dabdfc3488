"""Dumps of the real worker's objects, in people's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import msgspec
import pytest

from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import camera, changed, microphone, simulcast
from worker_bridge.connectivity import ListenInfo
from worker_bridge.consumer import ConsumerLayers
from worker_bridge.dump_shapes import ProducerDump, ResourceUsage
from worker_bridge.resource import Resource
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.worker import Worker


def strings(value: Any) -> Iterator[str]:
    """Every key, and every text, of what nests."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield str(key)
            yield from strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.fixture
async def made(router: Router) -> dict[str, Resource]:
    webrtc = await router.create_webrtc_transport([LOOPBACK, ListenInfo("tcp", "127.0.0.1")], sctp=SctpOptions())
    direct = await router.create_direct_transport()
    producer = await direct.produce("video", changed(camera(encodings=simulcast("L1T2", None)), "mid", "2"))
    await producer.enable_trace_event("rtp", "pli")
    data_producer = await direct.produce_data(label="", protocol="MQTT")
    return {
        "router": router,
        "webrtc": webrtc,
        "plain": await router.create_plain_transport(LOOPBACK, rtcp_mux=False),
        "pipe": await router.create_pipe_transport(),
        "direct": direct,
        "producer": producer,
        "consumer": await webrtc.consume(
            producer.id, router.rtp_capabilities, preferred_layers=ConsumerLayers(0, 1), paused=True
        ),
        "data_producer": data_producer,
        "data_consumer": await webrtc.consume_data(data_producer.id, max_retransmits=2, subchannels=(4,)),
    }


async def test_dumps_have_neither_wrappers_nor_codes_nor_holes(made: dict[str, Resource]) -> None:
    for name, resource in made.items():
        dump = await resource.dump()  # type: ignore[attr-defined]
        assert dump["id"] == resource.id
        assert not {"base", "data"} & dump.keys()
        assert None not in dump.values()
        assert {text for text in strings(dump) if text.isupper() and text.isalpha()} <= {"MQTT"}, name


async def test_a_transport_lists_what_it_carries(made: dict[str, Resource]) -> None:
    dump = await made["webrtc"].dump()  # type: ignore[attr-defined]
    assert (dump["consumer_ids"], dump["data_consumer_ids"]) == ([made["consumer"].id], [made["data_consumer"].id])
    assert set(dump["map_ssrc_consumer_id"].values()) == {made["consumer"].id}
    assert (dump["ice_role"], dump["ice_state"], dump["dtls_state"], dump["sctp_state"]) == (
        "controlled",
        "new",
        "new",
        "new",
    )
    assert {one["algorithm"] for one in dump["dtls_parameters"]["fingerprints"]} >= {"sha-256"}
    assert [one["protocol"] for one in dump["ice_candidates"]] == ["udp", "tcp"]
    direct = await made["direct"].dump()  # type: ignore[attr-defined]
    assert direct["rtp_listener"]["mid_table"] == {"2": made["producer"].id}
    plain = await made["plain"].dump()  # type: ignore[attr-defined]
    assert plain["rtcp_tuple"]["protocol"] == "udp"


async def test_a_consumer_says_what_it_would_send(made: dict[str, Resource]) -> None:
    dump = await made["consumer"].dump()  # type: ignore[attr-defined]
    assert (dump["type"], dump["kind"], dump["paused"]) == ("simulcast", "video", True)
    assert (dump["preferred_spatial_layer"], dump["preferred_temporal_layer"]) == (0, 1)
    assert "current_spatial_layer" not in dump
    assert dump["supported_codec_payload_types"] == [dump["rtp_parameters"].codecs[0].payload_type]
    producer = await made["producer"].dump()  # type: ignore[attr-defined]
    assert set(producer["trace_event_types"]) == {"rtp", "pli"}
    assert len(producer["rtp_mapping"]["encodings"]) == 2


async def test_data_keeps_its_labels_as_they_are(made: dict[str, Resource]) -> None:
    dump = await made["data_consumer"].dump()  # type: ignore[attr-defined]
    assert (dump["label"], dump["protocol"], dump["type"], dump["subchannels"]) == ("", "MQTT", "sctp", [4])
    assert dump["sctp_stream_parameters"] == SctpStreamParameters(0, ordered=False, max_retransmits=2)
    router = await made["router"].dump()  # type: ignore[attr-defined]
    assert router["map_data_consumer_id_data_producer_id"] == {made["data_consumer"].id: made["data_producer"].id}


async def test_every_key_that_comes_is_declared_and_of_its_type(worker: Worker, made: dict[str, Resource]) -> None:
    """msgspec reads a dump by its declaration, and drops what that does not name."""
    server = await worker.create_webrtc_server([LOOPBACK])
    for asked in (worker, server, *made.values()):
        shape = get_type_hints(asked.dump)["return"]  # type: ignore[union-attr]
        dump = await asked.dump()  # type: ignore[union-attr]
        assert msgspec.convert(dump, shape) == dump, asked
    usage = await worker.get_resource_usage()
    assert usage.keys() == ResourceUsage.__annotations__.keys()
    assert msgspec.convert(usage, ResourceUsage) == usage


async def test_a_stream_that_came_is_declared_too(router: Router, peers: Callable[[], RtpPeer]) -> None:
    plain = await router.create_plain_transport(LOOPBACK, comedia=True)
    producer = await plain.produce("audio", microphone())
    heard = producer.wait_for("score")
    [codec], [encoding] = producer.rtp_parameters.codecs, producer.rtp_parameters.encodings
    peers().send(plain.tuple, ssrc=encoding.ssrc or 0, payload_type=codec.payload_type)
    await heard
    dump = await producer.dump()
    assert [stream["params"]["ssrc"] for stream in dump["rtp_streams"]] == [encoding.ssrc]
    assert msgspec.convert(dump, ProducerDump) == dump
