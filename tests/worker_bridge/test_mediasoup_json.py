"""Values in JSON: mediasoup's names and shapes, out and in, and what is wrong by its path."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.worker_bridge.rtp_samples import ROUTER, camera, microphone
from worker_bridge import InvalidParameters, from_json, to_json
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters
from worker_bridge.rtp import (
    RtcpParameters,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpParameters,
    RtxParameters,
    parameters,
)
from worker_bridge.sctp import SctpParameters
from worker_bridge.stats import RtpStreamStats

CODEC = {"mimeType": "audio/PCMU", "payloadType": 0, "clockRate": 8000}


@pytest.mark.parametrize("value", [microphone(), camera(), ROUTER, RtcpParameters("c")])
def test_what_is_written_as_json_is_read_as_the_same(value: Any) -> None:
    assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


def test_json_has_the_names_and_the_shape_of_mediasoup() -> None:
    codec = RtpCodecParameters("video/rtx", 97, 90000, parameters=parameters(apt=96))
    written = to_json(RtpParameters((codec,), encodings=(RtpEncodingParameters(5, rtx=RtxParameters(6)),), mid="0"))
    assert written == {
        "codecs": [
            {
                "mimeType": "video/rtx",
                "payloadType": 97,
                "clockRate": 90000,
                "parameters": {"apt": 96},
                "rtcpFeedback": [],
            }
        ],
        "headerExtensions": [],
        "encodings": [{"ssrc": 5, "rtx": {"ssrc": 6}, "dtx": False}],
        "rtcp": {"reducedSize": True},
        "mid": "0",
    }


def test_connectivity_has_the_names_of_mediasoup_too() -> None:
    assert to_json(IceParameters("fragment", "secret")) == {
        "usernameFragment": "fragment",
        "password": "secret",
        "iceLite": True,
    }
    udp = IceCandidate("udp", 1, "192.0.2.1", "udp", 40000)
    address = {"address": "192.0.2.1", "ip": "192.0.2.1"}
    common = {"foundation": "udp", "priority": 1, **address, "port": 40000, "type": "host"}
    assert to_json(udp) == {**common, "protocol": "udp"}
    tcp = msgspec.structs.replace(udp, protocol="tcp", tcp_type="passive")
    assert to_json(tcp) == {**common, "protocol": "tcp", "tcpType": "passive"}
    assert to_json(DtlsParameters((DtlsFingerprint("sha-256", "AA"),))) == {
        "fingerprints": [{"algorithm": "sha-256", "value": "AA"}],
        "role": "auto",
    }
    assert {"OS", "MIS", "port"} <= to_json(SctpParameters(5000, 1, 2, 3, 4, 5, is_data_channel=True)).keys()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"codecs": [{**CODEC, "payloadType": 128}]}, "codecs.0.payloadType: expected int <= 127"),
        ({"codecs": [{**CODEC, "clockRate": 0}]}, "codecs.0.clockRate: expected int >= 1"),
        ({"codecs": [{**CODEC, "payloadType": True}]}, "codecs.0.payloadType: expected int, got bool"),
        ({"codecs": [{**CODEC, "parameters": []}]}, "codecs.0.parameters: expected Parameters, got list"),
        ({"codecs": [CODEC], "encodings": [{"ssrc": -1}]}, "encodings.0.ssrc: expected int >= 0"),
        ({"codecs": [CODEC], "encodings": [{"rtx": 5}]}, "encodings.0.rtx: expected object | null, got int"),
        ({}, "RtpParameters: object missing required field codecs"),
        ([], "RtpParameters: expected object, got array"),
        (None, "RtpParameters: expected object, got null"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(body: Any, problem: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        from_json(RtpParameters, body)
    assert str(refusal.value) == problem


def test_what_is_null_or_unknown_is_as_not_given() -> None:
    body = {
        "codecs": [{**CODEC, "channels": None, "rtcpFeedback": None, "tomorrow": 1}],
        "encodings": [{"ssrc": 1, "dtx": None, "rtx": None}],
        "rtcp": None,
    }
    codec = RtpCodecParameters("audio/PCMU", 0, 8000)
    assert from_json(RtpParameters, body) == RtpParameters((codec,), encodings=(RtpEncodingParameters(1),))


def test_statistics_are_renamed_whatever_they_hold() -> None:
    stats = {"packet_count": 1, "bitrate_by_layer": {"0.1": 7}, "tuple": {"local_port": 5, "remote_ip": None}}
    written = {"packetCount": 1, "bitrateByLayer": {"0.1": 7}, "tuple": {"localPort": 5}}
    assert to_json([stats]) == [written]
    assert from_json(RtpStreamStats, to_json(stats)) == {"packet_count": 1, "bitrate_by_layer": {"0.1": 7}}
    with pytest.raises(InvalidParameters, match=r"^packet_count: expected int, got str$"):
        from_json(RtpStreamStats, {"packetCount": "1"})


def test_the_limit_of_a_message_is_written_for_clients() -> None:
    parameters = SctpParameters(5000, 1, 2, 3, 4, 5, is_data_channel=True)
    assert (parameters.max_message_size, to_json(parameters)["maxMessageSize"]) == (2, 2)
