"""What many clients write alike is read once, and nothing else changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.base import load, parse
from schemas.consumer import ConsumeRequest
from schemas.problem import InvalidBody
from schemas.producer import ProduceRequest
from schemas.repeated import MAX_REMEMBERED
from tests.schemas.sample_bodies import GOOD

PRODUCE, CONSUME = GOOD[ProduceRequest], GOOD[ConsumeRequest]


def changed(body: dict[str, Any], part: str, **fields: Any) -> bytes:
    return msgspec.json.encode(body | {part: body[part] | fields})


def produced(**fields: Any) -> ProduceRequest:
    return parse(ProduceRequest, changed(PRODUCE, "rtpParameters", **fields))


def test_what_clients_write_alike_is_one_value() -> None:
    one, other = produced(mid="1"), produced(mid="2")
    assert one.rtp_parameters.codecs is other.rtp_parameters.codecs
    assert one.rtp_parameters.header_extensions is other.rtp_parameters.header_extensions
    assert (one.rtp_parameters.mid, other.rtp_parameters.mid) == ("1", "2")
    asking, again = (parse(ConsumeRequest, msgspec.json.encode(CONSUME | {"callId": name})) for name in ("a", "b"))
    assert asking.rtp_capabilities is again.rtp_capabilities
    assert (asking.call_id, again.call_id) == ("a", "b")


@pytest.mark.parametrize("kind", [ProduceRequest, ConsumeRequest])
def test_it_is_the_value_that_the_whole_body_says(kind: Any) -> None:
    backwards = dict(reversed(GOOD[kind].items()))
    assert parse(kind, msgspec.json.encode(backwards)) == load(kind, GOOD[kind])
    assert type(parse(kind, msgspec.json.encode(backwards))) is kind


def test_what_is_left_out_has_its_default() -> None:
    brief = {"codecs": PRODUCE["rtpParameters"]["codecs"]}
    body = PRODUCE | {"rtpParameters": brief}
    assert parse(ProduceRequest, msgspec.json.encode(body)) == load(ProduceRequest, body)
    without = {name: value for name, value in CONSUME.items() if name != "rtpCapabilities"}
    assert parse(ConsumeRequest, msgspec.json.encode(without)).rtp_capabilities is msgspec.UNSET


def test_a_part_that_is_wrong_is_refused_every_time() -> None:
    wrong = PRODUCE["rtpParameters"]["codecs"][0] | {"payloadType": 128}
    for _ in range(2):
        with pytest.raises(InvalidBody) as caught:
            produced(codecs=[wrong])
        assert caught.value.details[0].path == "rtpParameters.codecs.0.payloadType"


@pytest.mark.parametrize(
    ("first", "then"), [("1", "true"), ("1", "1.5"), ("1", '"1"'), ("1", "[1]"), ("1", "2147483648")]
)
def test_numbers_of_another_type_are_another_text(first: str, then: str) -> None:
    """Python finds 1, 1.0 and True alike."""
    codec = PRODUCE["rtpParameters"]["codecs"][0] | {"parameters": {"x": "VALUE"}}
    raw = changed(PRODUCE, "rtpParameters", codecs=[codec])
    assert parse(ProduceRequest, raw.replace(b'"VALUE"', first.encode())).rtp_parameters.codecs[0].parameters == {
        "x": 1
    }
    try:
        value = parse(ProduceRequest, raw.replace(b'"VALUE"', then.encode())).rtp_parameters.codecs[0].parameters["x"]
    except InvalidBody:
        assert then in ("true", "[1]", "2147483648")
    else:
        assert value == msgspec.json.decode(then)
        assert type(value) is type(msgspec.json.decode(then))


def test_a_rule_between_fields_holds_for_each_body() -> None:
    produced(mid="1", encodings=[{"ssrc": 0}])
    unknown = {name: value for name, value in PRODUCE["rtpParameters"].items() if name != "mid"}
    body = PRODUCE | {"rtpParameters": unknown | {"encodings": [{"ssrc": 0}]}}
    with pytest.raises(InvalidBody) as caught:
        parse(ProduceRequest, msgspec.json.encode(body))
    assert caught.value.details[0].path == "rtpParameters.encodings.0.ssrc"


def test_a_strangers_long_text_is_read_and_not_kept() -> None:
    codec = CONSUME["rtpCapabilities"]["codecs"][0]
    many = [codec | {"preferredPayloadType": number, "rtcpFeedback": [{"type": "x" * 64}] * 4} for number in range(100)]
    raw = changed(CONSUME, "rtpCapabilities", codecs=many)
    assert len(raw) > MAX_REMEMBERED
    one, other = parse(ConsumeRequest, raw), parse(ConsumeRequest, raw)
    assert one == other
    assert one.rtp_capabilities is not other.rtp_capabilities
