"""RTP values: frozen, found again by content, and mediasoup's JSON by their types alone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from rtp_samples import ROUTER, camera, microphone

from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters
from worker_bridge.rtp import (
    Parameters,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpParameters,
    RtxParameters,
    parameters,
    read_hook,
)
from worker_bridge.sctp import SctpParameters

ENCODER = msgspec.json.Encoder()


def as_json(value: Any) -> Any:
    return msgspec.json.decode(ENCODER.encode(value))


def from_json(kind: type[Any], value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value), type=kind, dec_hook=read_hook)


@pytest.mark.parametrize("value", [microphone(), camera(), ROUTER, RtpParameters((), rtcp=RtcpParameters("c"))])
def test_what_is_written_as_json_is_read_as_the_same(value: Any) -> None:
    assert from_json(type(value), as_json(value)) == value


def test_json_has_the_names_and_the_shape_of_mediasoup() -> None:
    codec = RtpCodecParameters("video/rtx", 97, 90000, parameters=parameters(apt=96))
    written = as_json(RtpParameters((codec,), encodings=(RtpEncodingParameters(5, rtx=RtxParameters(6)),), mid="0"))
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
    assert as_json(IceParameters("fragment", "secret")) == {
        "usernameFragment": "fragment",
        "password": "secret",
        "iceLite": True,
    }
    udp = IceCandidate("udp", 1, "192.0.2.1", "udp", 40000)
    common = {"foundation": "udp", "priority": 1, "address": "192.0.2.1", "port": 40000, "type": "host"}
    assert as_json(udp) == {**common, "protocol": "udp"}
    tcp = msgspec.structs.replace(udp, protocol="tcp", tcp_type="passive")
    assert as_json(tcp) == {**common, "protocol": "tcp", "tcpType": "passive"}
    assert as_json(DtlsParameters((DtlsFingerprint("sha-256", "AA"),))) == {
        "fingerprints": [{"algorithm": "sha-256", "value": "AA"}],
        "role": "auto",
    }
    assert {"OS", "MIS", "port"} <= as_json(SctpParameters(5000, 1, 2, 3, 4, 5, is_data_channel=True)).keys()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"codecs": [{"mimeType": "a/b", "payloadType": 128, "clockRate": 1}]}, r"<= 127 - at `\$\.codecs\[0\]\.payl"),
        ({"codecs": [{"mimeType": "a/b", "payloadType": 1, "clockRate": 0}]}, ">= 1"),
        ({"codecs": [{"mimeType": "a/b", "payloadType": True, "clockRate": 1}]}, "Expected `int`"),
        ({"codecs": [{"mimeType": "a/b", "payloadType": 1, "clockRate": 1, "parameters": []}]}, "expected Parameters"),
        ({"codecs": [], "encodings": [{"ssrc": 0}]}, r"encodings\[0\]\.ssrc"),
        ({}, "codecs"),
    ],
)
def test_limits_of_single_fields_are_kept_where_json_is_read(body: Any, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        from_json(RtpParameters, body)


def test_values_are_frozen_and_equal_by_content() -> None:
    one, other = microphone(), microphone()
    assert one is not other
    assert (one, hash(one)) == (other, hash(other))
    with pytest.raises(AttributeError, match="immutable"):
        one.mid = "1"  # type: ignore[misc]
    assert len({one, other, camera()}) == 2
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert RtpCapabilities() == RtpCapabilities((), ())


def test_parameters_are_a_mapping_that_cannot_be_changed() -> None:
    given = {"b": 1, "a": "x"}
    frozen = parameters(given, c=2.5)
    given["b"] = 2
    assert dict(frozen) == {"a": "x", "b": 1, "c": 2.5}
    assert list(frozen) == ["a", "b", "c"]
    assert frozen == Parameters({"c": 2.5, "a": "x", "b": 1}) == {"a": "x", "b": 1, "c": 2.5}
    assert hash(frozen) == hash(parameters(a="x", b=1, c=2.5))
    assert frozen.get("d") is None
    assert not parameters()
    changes: list[Callable[[], object]] = [
        lambda: frozen.__setitem__("b", 3),
        lambda: frozen.__delitem__("b"),
        lambda: frozen.update(b=3),
        lambda: frozen.__ior__({"b": 3}),
        lambda: frozen.pop("b"),
        frozen.popitem,
        frozen.clear,
        lambda: frozen.setdefault("d", 1),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="can't be changed"):
            change()
    assert dict(frozen) == {"a": "x", "b": 1, "c": 2.5}
