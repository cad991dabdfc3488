"""The worker's nested answers as flat records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import ROUTER, microphone
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions
from worker_bridge.stats import (
    DataConsumerStats,
    DataProducerStats,
    RtpStreamStats,
    TransportStats,
    TupleStats,
    packet_count,
    stream_stats,
    transport_stats,
)

BASE = {"timestamp": 5, "ssrc": 1, "kind": "VIDEO", "mime_type": "video/VP8", "rid": "", "rtx_ssrc": None, "score": 0}
TUPLE = {"local_address": "h", "local_port": 1, "remote_ip": "r", "remote_port": 2, "protocol": "UDP"}


def stream(kind: str = "RecvStats", **fields: Any) -> dict[str, Any]:
    return {"data_type": kind, "data": {"base": {"data": dict(BASE)}, **fields}}


def test_a_stream_is_flat_and_what_is_absent_is_not_written() -> None:
    layers = [{"layer": "0.0", "bitrate": 5}, {"layer": "0.1", "bitrate": 7}]
    [received, sent] = stream_stats(
        {"stats": [stream(packet_count=0, bitrate_by_layer=layers), stream("SendStats", packet_count=3)]}
    )
    assert received == {
        "type": "inbound-rtp",
        "packet_count": 0,
        "bitrate_by_layer": {"0.0": 5, "0.1": 7},
        "timestamp": 5,
        "ssrc": 1,
        "kind": "video",
        "mime_type": "video/VP8",
        "score": 0,
    }
    assert (sent["type"], sent["packet_count"]) == ("outbound-rtp", 3)


def test_packets_are_summed_over_all_streams() -> None:
    assert packet_count({"stats": []}) == 0
    assert packet_count({"stats": [stream(packet_count=3), stream(packet_count=4)]}) == 7


def test_a_transport_is_flat_down_to_its_tuples() -> None:
    answer = {
        "base": {"transport_id": "T", "bytes_sent": 0, "sctp_state": None, "rtp_packet_loss_sent": None},
        "dtls_state": "CONNECTED",
        "ice_state": "COMPLETED",
        "ice_selected_tuple": dict(TUPLE),
    }
    assert transport_stats(answer, "webrtc-transport") == [
        {
            "type": "webrtc-transport",
            "transport_id": "T",
            "bytes_sent": 0,
            "dtls_state": "connected",
            "ice_state": "completed",
            "ice_selected_tuple": {**TUPLE, "protocol": "udp"},
        }
    ]


def test_text_in_capitals_that_is_no_enum_is_left_alone() -> None:
    [stats] = transport_stats({"base": {"transport_id": "ABC"}}, "plain-rtp-transport")
    assert stats["transport_id"] == "ABC"


async def test_every_key_that_comes_is_declared(router: Router, peers: Callable[[], RtpPeer]) -> None:
    webrtc = await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())
    plain, pipe = await router.create_plain_transport(LOOPBACK, comedia=True), await router.create_pipe_transport()
    direct = await router.create_direct_transport()
    producer, chat = await plain.produce("audio", microphone()), await direct.produce_data()
    consumer, words = await direct.consume(producer.id, ROUTER), await direct.consume_data(chat.id)
    [codec], [encoding] = producer.rtp_parameters.codecs, producer.rtp_parameters.encodings
    assert encoding.ssrc is not None
    heard = producer.wait_for("score")
    peers().send(plain.tuple, ssrc=encoding.ssrc, payload_type=codec.payload_type)
    await heard
    for transport in (webrtc, plain, pipe, direct):
        [stats] = await transport.get_stats()
        assert stats.keys() <= TransportStats.__annotations__.keys()
        assert stats.get("tuple", {}).keys() <= TupleStats.__annotations__.keys()
    streams = [*await producer.get_stats(), *await consumer.get_stats()]
    assert {stream["type"] for stream in streams} == {"inbound-rtp", "outbound-rtp"}
    assert all(stream.keys() <= RtpStreamStats.__annotations__.keys() for stream in streams)
    assert (await chat.get_stats())[0].keys() == DataProducerStats.__annotations__.keys()
    assert (await words.get_stats())[0].keys() == DataConsumerStats.__annotations__.keys()
