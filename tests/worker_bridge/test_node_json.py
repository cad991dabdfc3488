"""The bridge's JSON, held against what mediasoup for Node writes: of the same router, transports, producers, consumers,
messages and statistics, on the same worker. Also what Node writes is read here, and written again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from msgspec.structs import replace

import worker_bridge
from app.web import build
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import OPUS, VP8, VP9, camera, codec, microphone, simulcast
from worker_bridge import from_json, supported_rtp_capabilities, to_json
from worker_bridge.connectivity import ListenInfo
from worker_bridge.native import NativeWorker
from worker_bridge.rtp import RtpEncodingParameters
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.worker import Worker

NODE = Path(__file__).with_name("node")
CODECS = [OPUS, VP8, VP9]
SCREEN = RtpEncodingParameters(ssrc=3000, scalability_mode="L3T3_KEY")
PRODUCED = (
    microphone(),
    camera(encodings=simulcast("L1T3", "L1T3")),
    replace(camera(codec("video/VP9", 98), encodings=(SCREEN,)), mid="2"),
)
STREAMS = (SctpStreamParameters(3), SctpStreamParameters(4, ordered=False, max_retransmits=3))
READ = (
    *("RtpCapabilities", "RtpParameters", "IceParameters", "IceCandidate", "DtlsParameters", "SctpParameters"),
    *("SctpStreamParameters", "SrtpParameters", "TransportTuple", "ProducerScore", "ConsumerScore", "ConsumerLayers"),
    *("RtpStreamStats", "TransportStats", "DataProducerStats", "DataConsumerStats"),
)
CHANCE = re.compile(
    r"ssrc|rtxSsrc|value|password|usernameFragment|keyBase64|timestamp|transportId|port|\w+Port|\w*[bB]itrate"
)
"""Names of what differs from run to run: there the type counts. Names are in the order in which either writes them."""


class Asked(Protocol):
    async def get_stats(self) -> list[Any]: ...


class Written(NamedTuple):
    node: dict[str, Any]
    bridge: dict[str, Any]


@pytest.fixture(scope="module")
def node(native_worker: NativeWorker) -> dict[str, Any]:
    microphone, camera, screen = map(to_json, PRODUCED)
    given = {
        "codecs": to_json(CODECS),
        "listenInfo": {"protocol": "udp", "ip": "127.0.0.1"},
        "streams": to_json(STREAMS),
    }
    given |= {"microphone": microphone, "camera": camera, "screen": screen}
    command = ["node", str(NODE / "written.mjs"), str(build.packages(lambda _: None, NODE)), json.dumps(given)]
    environment = {**os.environ, "MEDIASOUP_WORKER_BIN": str(native_worker.binary)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    written: dict[str, Any] = json.loads(done.stdout)
    return written


@pytest.fixture
async def written(node: dict[str, Any], worker: Worker, peers: Callable[[], RtpPeer]) -> Written:
    """The same objects, in the order of ``written.mjs``."""
    router = await worker.create_router(CODECS)
    webrtc = await router.create_webrtc_transport([LOOPBACK, ListenInfo("tcp", "127.0.0.1")], sctp=SctpOptions())
    plain = await router.create_plain_transport(LOOPBACK, comedia=True)
    suite = "AES_CM_128_HMAC_SHA1_80"
    secret = await router.create_plain_transport(LOOPBACK, comedia=True, rtcp_mux=False, srtp_crypto_suite=suite)
    pipe, direct = await router.create_pipe_transport(), await router.create_direct_transport()
    voice = await plain.produce("audio", PRODUCED[0])
    producers = [voice, *[await webrtc.produce("video", one) for one in PRODUCED[1:]]]
    listener = await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())
    consumers = []
    for producer in producers:
        consumers.append(await listener.consume(producer.id, router.rtp_capabilities))
        consumers.append(await pipe.consume(producer.id))
    data_producers = [await direct.produce_data(label="chat"), *[await webrtc.produce_data(one) for one in STREAMS]]
    data_consumers = [await listener.consume_data(one.id) for one in data_producers]
    scored = asyncio.gather(voice.wait_for("score"), consumers[0].wait_for("score"))
    [opus], [encoding] = voice.rtp_parameters.codecs, voice.rtp_parameters.encodings
    peers().send(plain.tuple, ssrc=encoding.ssrc or 0, payload_type=opus.payload_type, payload=bytes(28))
    await scored

    async def stats(*those: Asked) -> list[Any]:
        return [entry for one in those for entry in await one.get_stats()]

    streams = [one.sctp_stream_parameters for one in (*data_producers, *data_consumers)]
    values = {
        "RtpCapabilities": [router.rtp_capabilities],
        "RtpParameters": [one.rtp_parameters for one in (*producers, *consumers)],
        "IceParameters": [webrtc.ice_parameters, listener.ice_parameters],
        "IceCandidate": [*webrtc.ice_candidates, *listener.ice_candidates],
        "DtlsParameters": [webrtc.dtls_parameters, listener.dtls_parameters],
        "SctpParameters": [one for one in (webrtc.sctp_parameters, listener.sctp_parameters) if one],
        "SctpStreamParameters": [one for one in streams if one],
        "SrtpParameters": [one for one in (secret.srtp_parameters,) if one],
        "TransportTuple": [one for one in (plain.tuple, secret.tuple, secret.rtcp_tuple, pipe.tuple) if one],
        "ProducerScore": list(voice.score),
        "ConsumerScore": [one.score for one in consumers[::2]],  # a pipe's is a constant in Node
        "ConsumerLayers": [one.preferred_layers for one in consumers if one.preferred_layers],
        "RtpStreamStats": await stats(*producers, *consumers),
        "TransportStats": await stats(webrtc, plain, secret, pipe, direct),
        "DataProducerStats": await stats(*data_producers),
        "DataConsumerStats": await stats(*data_consumers),
    }
    return Written(node, {name: to_json(those) for name, those in values.items()})


def but_for_chance(value: Any, name: str = "") -> Any:
    """Of what chance decides the type is left."""
    if isinstance(value, dict):
        return {key: but_for_chance(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [but_for_chance(one, name) for one in value]
    return type(value).__name__ if CHANCE.fullmatch(name) else value


def but_for_the_known(value: Any) -> Any:
    """Without that in which the two differ on purpose (docs/parity.md): ``localIp`` is deprecated, an unknown remote
    end is absent here and port 0 there, and a consumer's ``dtx`` and a count of 0 stand here as well."""
    if isinstance(value, list):
        return [but_for_the_known(one) for one in value]
    if not isinstance(value, dict):
        return value
    known = {"localIp": value.get("localIp"), "remotePort": 0, "dtx": False, "rtxPacketsDiscarded": 0}
    return {key: but_for_the_known(one) for key, one in value.items() if key not in known or one != known[key]}


def test_both_are_of_one_release(node: dict[str, Any]) -> None:
    assert node["version"] == worker_bridge.version


def test_what_can_be_routed_is_the_same(node: dict[str, Any]) -> None:
    assert to_json(supported_rtp_capabilities()) == node["supported"]


def test_the_bridge_writes_what_node_writes(written: Written) -> None:
    assert set(written.bridge) == set(READ) == set(written.node) - {"version", "supported"}
    for name in READ:
        assert written.bridge[name], name
        node, ours = (but_for_chance(but_for_the_known(one[name])) for one in written)
        assert ours == node, name


@pytest.mark.parametrize("name", READ)
def test_what_node_writes_is_read_and_written_again(node: dict[str, Any], name: str) -> None:
    for one in node[name]:
        again = to_json(from_json(getattr(worker_bridge, name), one))
        assert but_for_the_known(again) == but_for_the_known(one)
