"""What real clients send is read, and what they are sent has their exact shapes."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from msgspec import UNSET
from pymediasoup import rtp_parameters as pymediasoup
from pymediasoup.models.transport import DtlsParameters as PymediasoupDtlsParameters
from pymediasoup.models.transport import IceCandidate as PymediasoupIceCandidate

from schemas.base import dump, load, parse
from schemas.call import (
    AdminCallRequest,
    CallBody,
    CallRequest,
    ReasonBody,
)
from schemas.consumer import ConsumerCreated
from schemas.described import components
from schemas.problem import InvalidBody
from schemas.producer import ProduceRequest
from schemas.transport import (
    ConnectTransportRequest,
    IceServer,
    TransportCreated,
)
from schemas.types import iso
from tests.schemas.sample_bodies import (
    CAPABILITIES,
    CHROME_AUDIO,
    CHROME_SIMULCAST,
    EVERY_RTP_FIELD,
    FIREFOX_AUDIO,
    PRODUCER_ID,
    SAFARI_AUDIO,
    SHA_256,
    TELEPHONE_EVENTS,
    TRANSPORT_ID,
)
from worker_bridge import rtp
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters
from worker_bridge.rtp import RtpCapabilities, RtpParameters

Json = dict[str, Any]
CLIENTS = {"chrome": CHROME_AUDIO, "simulcast": CHROME_SIMULCAST, "firefox": FIREFOX_AUDIO, "safari": SAFARI_AUDIO}


@pytest.mark.parametrize("sample", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("spaces", [True, False], ids=["indented", "compact"])
def test_browsers_rtp_parameters_are_read(sample: Json, spaces: bool) -> None:
    body = {"callId": "call_1", "transportId": TRANSPORT_ID, "kind": "audio", "rtpParameters": sample}
    raw = json.dumps(body, indent=2 if spaces else None)
    parameters = parse(ProduceRequest, raw).rtp_parameters
    assert [codec.mime_type for codec in parameters.codecs] == [codec["mimeType"] for codec in sample["codecs"]]
    assert [encoding.ssrc for encoding in parameters.encodings] == [one.get("ssrc") for one in sample["encodings"]]


def test_every_field_of_rtp_parameters_arrives() -> None:
    assert load(RtpParameters, EVERY_RTP_FIELD) == rtp.RtpParameters(
        codecs=(
            rtp.RtpCodecParameters(
                "audio/opus", 111, 48000, 2, rtp.parameters(minptime=10), (rtp.RtcpFeedback("transport-cc"),)
            ),
            rtp.RtpCodecParameters("audio/telephone-event", 101, 8000, 1, rtp.parameters({"0-15": ""})),
        ),
        header_extensions=(rtp.RtpHeaderExtensionParameters("urn:ietf:params:rtp-hdrext:sdes:mid", 4),),
        encodings=(rtp.RtpEncodingParameters(1111, "r0", 111, rtp.RtxParameters(2222), True, "L1T1", 64000),),
        rtcp=rtp.RtcpParameters("somebody", reduced_size=False),
        mid="7",
        msid="stream track",
    )


def test_rtp_parameters_are_written_as_they_were_read() -> None:
    assert dump(load(RtpParameters, EVERY_RTP_FIELD)) == EVERY_RTP_FIELD
    assert dump(load(RtpCapabilities, CAPABILITIES)) == CAPABILITIES


def test_what_has_a_default_is_always_written_and_what_is_absent_never() -> None:
    smallest = rtp.RtpParameters(codecs=(rtp.RtpCodecParameters("audio/PCMU", 0, 8000),))
    assert dump(smallest) == {
        "codecs": [
            {"mimeType": "audio/PCMU", "payloadType": 0, "clockRate": 8000, "parameters": {}, "rtcpFeedback": []}
        ],
        "headerExtensions": [],
        "encodings": [],
        "rtcp": {"reducedSize": True},
    }


def test_an_extension_for_any_kind_is_spelled_empty_null_or_not_at_all() -> None:
    extension = CAPABILITIES["headerExtensions"][0]
    absent = {name: value for name, value in extension.items() if name != "kind"}
    for spelled in (absent, extension | {"kind": ""}, extension | {"kind": None}):
        assert load(RtpCapabilities, {"headerExtensions": [spelled]}).header_extensions[0].kind is None


@pytest.mark.parametrize("exclude_none", [True, False])
def test_pymediasoups_parameters_are_read_and_ours_by_pymediasoup(exclude_none: bool) -> None:
    theirs = pymediasoup.RtpParameters(**EVERY_RTP_FIELD)
    ours = load(RtpParameters, theirs.model_dump(exclude_none=exclude_none))
    assert ours == load(RtpParameters, EVERY_RTP_FIELD)
    assert pymediasoup.RtpParameters(**dump(ours)) == theirs

    bare = pymediasoup.RtpParameters(
        codecs=[pymediasoup.RtpCodecParameters(mimeType="audio/opus", clockRate=48000, payloadType=96)],
        encodings=[pymediasoup.RtpEncodingParameters(ssrc=5)],
        rtcp=pymediasoup.RtcpParameters(cname="c", mux=True),
    )
    assert load(RtpParameters, bare.model_dump(exclude_none=exclude_none)) == rtp.RtpParameters(
        codecs=(rtp.RtpCodecParameters("audio/opus", 96, 48000),),
        encodings=(rtp.RtpEncodingParameters(ssrc=5),),
        rtcp=rtp.RtcpParameters("c"),
    )


@pytest.mark.parametrize("exclude_none", [True, False])
def test_pymediasoups_capabilities_are_read_and_ours_by_pymediasoup(exclude_none: bool) -> None:
    theirs = pymediasoup.RtpCapabilities(**CAPABILITIES)
    ours = load(RtpCapabilities, theirs.model_dump(exclude_none=exclude_none))
    assert ours == load(RtpCapabilities, CAPABILITIES)
    assert pymediasoup.RtpCapabilities(**dump(ours)) == theirs


def test_a_parameter_without_a_value_is_null_from_python_and_empty_from_browsers() -> None:
    spelled = [copy.deepcopy(TELEPHONE_EVENTS) | {"parameters": {"0-15": value}} for value in (None, "")]
    first, second = (load(RtpParameters, {"codecs": [codec]}) for codec in spelled)
    assert first == second


@pytest.mark.parametrize("role", ["auto", "client", "server", None])
def test_dtls_parameters_of_browsers_and_pymediasoup_are_read(role: str | None) -> None:
    fingerprint = {"algorithm": "sha-256", "value": SHA_256.lower()}
    browser = {"role": role, "fingerprints": [fingerprint], "iceUfrag": "abcd", "icePwd": "x" * 22}
    body = load(ConnectTransportRequest, {"dtlsParameters": browser})
    assert body.dtls_parameters == DtlsParameters((DtlsFingerprint("sha-256", SHA_256),), role or "auto")
    assert body.call_id is UNSET
    theirs = PymediasoupDtlsParameters(fingerprints=[fingerprint], role=role or "auto")
    assert load(ConnectTransportRequest, {"dtlsParameters": theirs.model_dump()}) == body


@pytest.mark.parametrize(
    ("algorithm", "length"), [("sha-1", 20), ("sha-224", 28), ("sha-256", 32), ("sha-384", 48), ("sha-512", 64)]
)
def test_a_fingerprint_has_exactly_its_algorithms_length(algorithm: str, length: int) -> None:
    def connect(pairs: list[str]) -> Any:
        fingerprint = {"algorithm": algorithm, "value": ":".join(pairs)}
        return load(ConnectTransportRequest, {"dtlsParameters": {"fingerprints": [fingerprint]}})

    connect(["0a"] * length)
    for wrong in (["0A"] * (length - 1), ["0A"] * (length + 1), ["0A"] * (length - 1) + ["0G"], ["A"] * length):
        with pytest.raises(InvalidBody) as caught:
            connect(wrong)
        assert caught.value.details[0].path == "dtlsParameters.fingerprints.0.value"


def test_a_created_transport_has_mediasoup_clients_shapes() -> None:
    udp = IceCandidate("udpcandidate", 1076302079, "203.0.113.7", "udp", 40000)
    tcp = IceCandidate("tcpcandidate", 1076276479, "203.0.113.7", "tcp", 40000, tcp_type="passive")
    created = TransportCreated(
        TRANSPORT_ID,
        IceParameters("u" * 32, "p" * 32),
        (udp, tcp),
        DtlsParameters((DtlsFingerprint("sha-256", SHA_256),)),
        media_epoch=2,
    )
    dumped = dump(created)
    shared = {"priority": 1076302079, "ip": "203.0.113.7", "address": "203.0.113.7", "port": 40000, "type": "host"}
    assert dumped == {
        "transportId": TRANSPORT_ID,
        "iceParameters": {"usernameFragment": "u" * 32, "password": "p" * 32, "iceLite": True},
        "iceCandidates": [
            shared | {"foundation": "udpcandidate", "protocol": "udp"},
            shared | {"foundation": "tcpcandidate", "protocol": "tcp", "priority": 1076276479, "tcpType": "passive"},
        ],
        "dtlsParameters": {"role": "auto", "fingerprints": [{"algorithm": "sha-256", "value": SHA_256}]},
        "mediaEpoch": 2,
    }
    for candidate in dumped["iceCandidates"]:
        PymediasoupIceCandidate(**candidate)


def test_turn_servers_are_written_where_there_are_some() -> None:
    server = IceServer(("turn:turn.example.org:3478?transport=udp",), "1735689600:user_001", "c2VjcmV0")
    created = TransportCreated(TRANSPORT_ID, IceParameters("u" * 4, "p" * 22), (), DtlsParameters(()), 1, (server,))
    assert dump(created)["iceServers"] == [
        {
            "urls": ["turn:turn.example.org:3478?transport=udp"],
            "username": "1735689600:user_001",
            "credential": "c2VjcmV0",
        }
    ]


def test_a_created_consumer_is_what_consume_takes() -> None:
    created = ConsumerCreated(
        TRANSPORT_ID, PRODUCER_ID, "audio", load(RtpParameters, EVERY_RTP_FIELD), producer_paused=False
    )
    assert dump(created) == {
        "consumerId": TRANSPORT_ID,
        "producerId": PRODUCER_ID,
        "kind": "audio",
        "rtpParameters": EVERY_RTP_FIELD,
        "producerPaused": False,
    }


def test_what_has_not_happened_to_a_call_is_null() -> None:
    call = CallBody(
        call_id="c",
        user_id="u",
        otomo_id="o",
        state="ringing",
        price_per_minute=100,
        created_at=iso(1738324800001),
        accepted_at=None,
        connected_at=None,
        ended_at=None,
        end_reason=None,
        duration_seconds=None,
        billed_units=0,
        billed_points=0,
        refunded_points=0,
    )
    dumped = dump(call)
    assert dumped["createdAt"] == "2025-01-31T12:00:00.001Z"
    assert [name for name, value in dumped.items() if value is None] == [
        *("acceptedAt", "connectedAt", "endedAt", "endReason", "durationSeconds"),
    ]


@pytest.mark.parametrize("user_id", ["user_001", "山田太郎", "a", "x" * 128, "auth0|5f7c", "é@example.org"])
def test_names_of_any_script_are_ids(user_id: str) -> None:
    body = {"userId": user_id, "otomoId": "o"}
    assert load(AdminCallRequest, body).user_id == user_id


@pytest.mark.parametrize(
    "user_id", ["", " ", "a b", "a\tb", "a\nb", "x" * 129, "\u200b", "a\u3000b", "\u202e", "\ud800"]
)
def test_what_cannot_be_seen_is_no_id(user_id: str) -> None:
    with pytest.raises(InvalidBody):
        load(CallRequest, {"otomoId": user_id})


def test_a_reason_may_be_left_out_with_the_whole_body() -> None:
    assert parse(ReasonBody, b"") == parse(ReasonBody, b"{}") == ReasonBody()
    assert parse(ReasonBody, '{"reason":"二行\\nです 👋🏽"}').reason == "二行\nです 👋🏽"


def test_json_schemas_are_complete_and_closed_where_bodies_are() -> None:
    found = components(ProduceRequest, ConnectTransportRequest)
    referred = {
        part.split('"')[0] for part in msgspec.json.encode(found).decode().split('"$ref":"#/components/schemas/')[1:]
    }
    assert referred <= found.keys()
    assert found["ProduceRequest"]["required"] == ["callId", "transportId", "kind", "rtpParameters"]
    assert found["ProduceRequest"]["additionalProperties"] is False
    assert "additionalProperties" not in found["RtpParameters"]
    assert found["ConnectTransportRequest"]["required"] == ["dtlsParameters"]
    assert found["RtpCodecParameters"]["properties"]["payloadType"] == {"type": "integer", "minimum": 0, "maximum": 127}
