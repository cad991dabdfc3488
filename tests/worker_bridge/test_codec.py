"""What the codec lets through to a worker that checks nothing, and how it words what it refuses."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT, NOTIFICATION_BODIES, REQUEST_BODIES, ROOT, MessageCodec
from worker_bridge.errors import InvalidMessage
from worker_bridge.native import locate

OPUS = {
    "mime_type": "audio/opus",
    "payload_type": 111,
    "clock_rate": 48000,
    "channels": 2,
    "parameters": [{"name": "useinbandfec", "value_type": "Integer32", "value": {"value": 1}}],
    "rtcp_feedback": [{"type": "transport-cc", "parameter": ""}],
}
PRODUCE: dict[str, Any] = {
    "producer_id": "a producer",
    "kind": "AUDIO",
    "rtp_parameters": {
        "mid": "0",
        "codecs": [OPUS],
        "header_extensions": [{"uri": "Mid", "id": 4}],
        "encodings": [{"ssrc": 12345678, "dtx": True}],
        "rtcp": {"cname": "somebody", "reduced_size": False},
    },
    "rtp_mapping": {
        "codecs": [{"payload_type": 111, "mapped_payload_type": 100}],
        "encodings": [{"ssrc": 12345678, "mapped_ssrc": 100000001}],
    },
    "paused": False,
}
LISTEN_INFO = {"protocol": "UDP", "ip": "127.0.0.1", "port_range": {"min": 0, "max": 0}, "flags": {}}


@pytest.fixture(scope="module")
def schema() -> bytes:
    return locate().schema.read_bytes()


@pytest.fixture(scope="module")
def codec(schema: bytes) -> MessageCodec:
    return MessageCodec(schema)


def refusal(codec: MessageCodec, method: str, body: Any = None, handler_id: str = "it", request_id: Any = 1) -> str:
    with pytest.raises(InvalidMessage) as caught:
        codec.request(request_id, method, handler_id, body)
    return str(caught.value)


def consume(codecs: Any, **changes: Any) -> dict[str, Any]:
    parameters = {"codecs": codecs, "header_extensions": [], "encodings": [], "rtcp": {}}
    body = {"consumer_id": "c", "producer_id": "p", "kind": "AUDIO", "type": "SIMPLE", "consumable_rtp_encodings": []}
    return {**body, "rtp_parameters": parameters, **changes}


def produce(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(PRODUCE), **changes}


# ---------------------------------------------------------------- the tables, against the schema


def test_every_method_of_the_schema_has_its_row(schema: bytes) -> None:
    values = Codec(schema, ROOT, FRAME_LIMIT).values
    assert list(REQUEST_BODIES) == list(values("FBS.Request.Method"))
    assert len(REQUEST_BODIES) == 68
    assert {body for body in REQUEST_BODIES.values() if body} == values("FBS.Request.Body").keys() - {"NONE"}


def test_the_notifications_are_those_that_the_schema_lists_first(schema: bytes) -> None:
    values = Codec(schema, ROOT, FRAME_LIMIT).values
    events = values("FBS.Notification.Event")
    assert [events[name] for name in NOTIFICATION_BODIES] == [0, 1, 2, 3]
    assert events["WORKER_RUNNING"] == 4  # the first that comes from the worker
    assert {body for body in NOTIFICATION_BODIES.values() if body} < values("FBS.Notification.Body").keys()


def test_bodies_are_named_after_their_methods() -> None:
    shared = {"WORKER_WEBRTCSERVER_CLOSE", "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER"}
    for method, body in REQUEST_BODIES.items():
        if body and method not in shared:
            assert body.removesuffix("Request").replace("_", "").upper() == method.replace("_", "")


# ---------------------------------------------------------------- there and back


def test_a_request_comes_back_with_every_field(codec: MessageCodec) -> None:
    message = codec.decode(codec.request(4294967295, "TRANSPORT_PRODUCE", "a transport", PRODUCE))
    data = message["data"]
    assert message["data_type"] == "Request"
    assert (data["id"], data["method"], data["handler_id"]) == (4294967295, "TRANSPORT_PRODUCE", "a transport")
    assert data["body_type"] == "Transport_ProduceRequest"
    rtp = data["body"]["rtp_parameters"]
    assert rtp["codecs"] == [OPUS]
    assert rtp["header_extensions"] == [{"uri": "Mid", "id": 4, "encrypt": False, "parameters": None}]
    assert rtp["rtcp"] == {"cname": "somebody", "reduced_size": False}
    assert rtp["encodings"][0]["codec_payload_type"] is None


def test_frames_carry_their_length_and_may_lie_anywhere(codec: MessageCodec) -> None:
    frame = codec.request(1, "WORKER_DUMP", "")
    assert int.from_bytes(frame[:4], "little") == len(frame) - 4
    assert codec.decode(memoryview(b"xyz" + frame)[3:]) == codec.decode(bytearray(frame)) == codec.decode(frame)


def test_an_explicit_zero_is_not_an_absent_field(codec: MessageCodec) -> None:
    for given, expected in (({"ssrc": 0, "max_bitrate": 0}, 0), ({"ssrc": None}, None), ({}, None)):
        body = produce()
        body["rtp_parameters"]["encodings"] = [given]
        decoded = codec.decode(codec.request(1, "TRANSPORT_PRODUCE", "it", body))["data"]["body"]
        assert decoded["rtp_parameters"]["encodings"][0]["ssrc"] == expected


def test_bytes_travel_as_bytes(codec: MessageCodec) -> None:
    payload = bytes(range(256))
    for given in (payload, bytearray(payload), memoryview(payload)):
        message = codec.decode(codec.notification("PRODUCER_SEND", "a producer", {"data": given}))
        assert message["data"]["body"] == {"data": payload}


def test_the_caller_keeps_his_dict(codec: MessageCodec) -> None:
    body = produce()
    codec.request(1, "TRANSPORT_PRODUCE", "it", body)
    assert body == PRODUCE


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("method", [method for method, body in REQUEST_BODIES.items() if body])
def test_a_request_without_its_body_is_refused(codec: MessageCodec, method: str) -> None:
    assert refusal(codec, method) == f"{method} needs a {REQUEST_BODIES[method]}"


@pytest.mark.parametrize("method", [method for method, body in REQUEST_BODIES.items() if not body])
def test_a_body_where_none_belongs_is_refused(codec: MessageCodec, method: str) -> None:
    assert codec.request(1, method, "it")
    assert refusal(codec, method, {}) == f"{method} has no body"


def test_notifications_keep_to_their_bodies_too(codec: MessageCodec) -> None:
    assert codec.notification("WORKER_CLOSE", "")
    for event, body in (("WORKER_CLOSE", {}), ("PRODUCER_SEND", None), ("WORKER_RUNNING", None), ("NOTHING", None)):
        with pytest.raises(InvalidMessage, match=event):
            codec.notification(event, "", body)


def test_another_methods_body_is_refused(codec: MessageCodec) -> None:
    assert refusal(codec, "WORKER_CREATE_ROUTER", {"priority": 3}) == "router_id: missing required field"
    assert refusal(codec, "CONSUMER_SET_PRIORITY", {"router_id": "r"}).startswith("body: unknown field 'router_id'")


def test_refusals_name_the_place_in_the_body(codec: MessageCodec) -> None:
    body = produce()
    body["rtp_parameters"]["codecs"].append({**OPUS, "payload_type": 300})
    assert refusal(codec, "TRANSPORT_PRODUCE", body) == (
        "rtp_parameters.codecs[1].payload_type: 300 does not fit uint8"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"producer_id": None}, "producer_id: missing required field"),
        ({"producer_id": b"x"}, "producer_id: expected str, got bytes"),
        ({"producer_id": "\ud800"}, "producer_id: not encodable as UTF-8"),
        ({"producer_id": "a\0b"}, "producer_id: contains a NUL"),
        ({"kind": "audio"}, "kind: 'audio' is not a FBS.RtpParameters.MediaKind"),
        ({"kind": 0}, "kind: expected the name of a FBS.RtpParameters.MediaKind, got int"),
        ({"paused": 1}, "paused: expected bool, got int"),
        ({"paused": None}, "paused: expected bool, got None"),
        ({"key_frame_request_delay": True}, "key_frame_request_delay: expected uint32, got bool"),
        ({"key_frame_request_delay": -1}, "key_frame_request_delay: -1 does not fit uint32"),
        ({"key_frame_request_delay": 1.0}, "key_frame_request_delay: expected uint32, got float"),
        ({"rtp_mapping": []}, "rtp_mapping: expected dict, got list"),
        ({"rtp_mapping": {"codecs": {}, "encodings": []}}, "rtp_mapping.codecs: expected list, got dict"),
        ({"bogus": 1}, "body: unknown field 'bogus'"),
        ({3: 1}, "body: unknown field 3"),
    ],
)
def test_values_that_do_not_fit_are_refused(codec: MessageCodec, changes: dict[Any, Any], text: str) -> None:
    assert refusal(codec, "TRANSPORT_PRODUCE", {**PRODUCE, **changes}).startswith(text)


def test_the_envelope_is_checked_as_well(codec: MessageCodec) -> None:
    assert refusal(codec, "WORKER_DUMP", handler_id="a\0b").startswith("handler_id: contains a NUL")
    assert refusal(codec, "WORKER_DUMP", request_id=-1) == "id: -1 does not fit uint32"
    assert refusal(codec, "WORKER_DUMP", request_id=2**32) == "id: 4294967296 does not fit uint32"
    assert refusal(codec, "WORKER_EXPLODE") == "method: 'WORKER_EXPLODE' is not one that the worker knows"
    assert refusal(codec, "WORKER_CREATE_ROUTER", []) == "body: expected dict, got list"


def test_a_union_and_its_type_go_together(codec: MessageCodec) -> None:
    for parameter, text in (
        ({"name": "x", "value": {"value": 1}}, "value_type: missing, but the union has a value"),
        ({"name": "x", "value_type": "Double"}, "value: missing, but its type is 'Double'"),
        ({"name": "x", "value_type": "Real", "value": {"value": 1}}, "value_type: 'Real' is not a"),
    ):
        body = produce()
        body["rtp_parameters"]["codecs"] = [{**OPUS, "parameters": [parameter]}]
        assert text in refusal(codec, "TRANSPORT_PRODUCE", body)


def test_each_way_to_create_a_webrtc_transport_takes_only_its_own_listen(codec: MessageCodec) -> None:
    individual = {"listen_type": "ListenIndividual", "listen": {"listen_infos": [LISTEN_INFO]}}
    server = {"listen_type": "ListenServer", "listen": {"web_rtc_server_id": "a server"}}
    for method, right, wrong in (
        ("ROUTER_CREATE_WEBRTCTRANSPORT", individual, server),
        ("ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER", server, individual),
    ):
        body = {"transport_id": "a transport", "options": {"base": {}, **right}}
        assert codec.request(1, method, "a router", body)
        body["options"] = {"base": {}, **wrong}
        assert refusal(codec, method, body).startswith("options.listen_type: ")


def test_a_webrtc_server_needs_something_to_listen_on(codec: MessageCodec) -> None:
    body = {"web_rtc_server_id": "a server", "listen_infos": [LISTEN_INFO]}
    assert codec.request(1, "WORKER_CREATE_WEBRTCSERVER", "", body)
    del body["listen_infos"]
    assert refusal(codec, "WORKER_CREATE_WEBRTCSERVER", body) == "listen_infos: missing required field"


def test_a_frame_has_at_most_the_size_that_the_worker_reads(codec: MessageCodec) -> None:
    overhead = len(codec.request(1, "ROUTER_DUMP", "x" * 4096)) - 4096
    longest = "x" * (FRAME_LIMIT - overhead)
    assert len(codec.request(1, "ROUTER_DUMP", longest)) == FRAME_LIMIT
    assert "larger than 8388608 bytes" in refusal(codec, "ROUTER_DUMP", handler_id=longest + "x" * 64)
    with pytest.raises(InvalidMessage, match="larger than 8388608 bytes"):
        codec.decode(bytes(FRAME_LIMIT + 1))


def test_garbage_is_an_invalid_message(codec: MessageCodec) -> None:
    for garbage in (b"", b"\0", b"\4\0\0\0\0\0\0\0", b"\xff" * 64, codec.request(1, "WORKER_DUMP", "") + b"\0"):
        with pytest.raises(InvalidMessage):
            codec.decode(garbage)


def test_what_is_no_schema_is_an_invalid_message() -> None:
    with pytest.raises(InvalidMessage, match="not a binary schema"):
        MessageCodec(b"nonsense")
