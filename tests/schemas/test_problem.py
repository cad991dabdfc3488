"""Every field of every body, wrong in every way that its declaration excludes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from schemas.base import load, parse
from schemas.call import AdminCallRequest, CallRequest, ReasonBody
from schemas.consumer import ConsumeRequest
from schemas.demo import DemoSessionRequest
from schemas.marshmallow import judged
from schemas.problem import MAX_PROBLEMS, InvalidBody
from schemas.producer import ProduceRequest
from schemas.signaling import CallCommand, Envelope
from schemas.tariff import Tariff
from schemas.transport import ConnectTransportRequest
from schemas.wallet import AdjustRequest
from tests.schemas.sample_bodies import GOOD
from tests.schemas.wrong_bodies import Path, at, dotted, is_parameter, places, removed, replaced

Body = type[Any]

OF_EACH_TYPE: tuple[Any, ...] = (None, True, False, 0, 1, 0.5, 2.5, "1", "true", [], [1], {}, {"a": 1})

# Where null counts as not given: the optional fields of WebRTC's dictionaries.
NULLABLE = {
    *("mid", "msid", "rid", "codecPayloadType", "rtx", "dtx", "scalabilityMode", "maxBitrate", "cname", "reducedSize"),
    *("rtcp", "encodings", "headerExtensions", "parameters", "rtcpFeedback", "parameter", "channels", "encrypt"),
    *("preferredPayloadType", "preferredEncrypt", "role"),
}
NULLABLE_IN_RTP_ONLY = {("rtpParameters", "encodings", 0, "ssrc"), ("rtpCapabilities", "codecs")}
NULLABLE_IN_RTP_ONLY |= {("rtpCapabilities", "headerExtensions", 0, name) for name in ("kind", "direction")}
OPTIONAL: set[tuple[Any, ...]] = {
    (ConnectTransportRequest, "callId"),
    (ConsumeRequest, "rtpCapabilities"),
    (CallRequest, "callId"),
    (ReasonBody, "reason"),
    (AdminCallRequest, "callId"),
    (AdminCallRequest, "pricePerMinute"),
    *((Tariff, name) for name in ("charge", "freeSeconds", "minimumUnits", "maxSeconds")),
    (AdjustRequest, "kind"),
    (AdjustRequest, "expiresAt"),
    (DemoSessionRequest, "pair"),
    (CallCommand, "reason"),
    (Envelope, "payload"),
    (Envelope, "requestId"),
}
EMPTY_TEXT = {"parameter", "reason", "0-15"}  # "" says something here
EMPTY_TEXT |= {"mid", "msid", "rid", "scalabilityMode", "cname"}  # and here that there is none
EMPTY_LIST = {"encodings", "headerExtensions", "rtcpFeedback"}


def takes_null(path: Path) -> bool:
    return path[-1] in NULLABLE or path in NULLABLE_IN_RTP_ONLY or is_parameter(path)


def allowed_there(body: Any, path: Path, value: Any) -> bool:
    """Whether another type than the sample's is fine at that place."""
    if value is None:
        return takes_null(path)
    if is_parameter(path):
        return type(value) in (str, int, float)
    if path[-1] == "parameters" and value == {"a": 1}:
        return True
    if path == ("unitSeconds",):
        return type(value) in (int, float) and value > 0
    return path == ("requestId",) and type(value) in (str, int)


CASES = [
    pytest.param(schema, path, id=f"{schema.__name__}-{dotted(path)}")
    for schema in GOOD
    for path in places(GOOD[schema])
]


def refused(schema: Body, body: Any) -> InvalidBody:
    with pytest.raises(InvalidBody) as caught:
        parse(schema, json.dumps(body))
    assert 1 <= len(caught.value.details) <= MAX_PROBLEMS
    return caught.value


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: schema.__name__)
def test_the_complete_body_is_taken_the_same_by_msgspec_and_marshmallow(schema: Body) -> None:
    value = parse(schema, msgspec.json.encode(GOOD[schema]))
    assert type(value) is schema
    assert value == judged(schema, GOOD[schema])


@pytest.mark.parametrize(("schema", "path"), CASES)
def test_a_value_of_another_type_is_refused_at_its_path(schema: Body, path: Path) -> None:
    good = at(GOOD[schema], path)
    for value in OF_EACH_TYPE:
        if type(value) is type(good) or allowed_there(GOOD[schema], path, value):
            continue
        error = refused(schema, replaced(GOOD[schema], path, value))
        assert {problem.path for problem in error.details} == {dotted(path)}, value


@pytest.mark.parametrize(("schema", "path"), CASES)
def test_null_is_either_not_given_or_refused(schema: Body, path: Path) -> None:
    body = replaced(GOOD[schema], path, None)
    if not takes_null(path):
        assert refused(schema, body).details[0].path == dotted(path)
    elif not is_parameter(path):
        assert parse(schema, msgspec.json.encode(body)) == parse(
            schema, msgspec.json.encode(removed(GOOD[schema], path))
        )


@pytest.mark.parametrize(("schema", "path"), CASES)
def test_a_missing_field_is_refused_or_has_a_default(schema: Body, path: Path) -> None:
    body = removed(GOOD[schema], path)
    required = not takes_null(path) and (schema, *path) not in OPTIONAL and not isinstance(path[-1], int)
    if required:
        assert refused(schema, body).details[0].path == dotted(path)
        assert refused(schema, body).details[0].problem == "is required"
    else:
        parse(schema, msgspec.json.encode(body))


@pytest.mark.parametrize(("schema", "path"), CASES)
def test_values_out_of_bounds_are_refused(schema: Body, path: Path) -> None:
    match at(GOOD[schema], path):
        case bool() | float() | []:
            return
        case str():
            wrong: list[Any] = ["x" * 5000, "a\x00b", "a\x7fb", "\x1b[31m", "\u0085"]
            if not (path[-1] in EMPTY_TEXT or is_parameter(path) or path[-3:-1] == ("headerExtensions", 0)):
                wrong.append("")
        case int():
            wrong = [-(10**13), 2**63, 2**64 - 1]
            if not is_parameter(path):  # where integers beyond 64 bits are read as floats, which are fine there
                wrong += [2**64, -(10**30)]
                wrong += [0] if path == ("amount",) else [-1]
        case list() as items:
            wrong = [items * 1000]
            if path[-1] not in EMPTY_LIST and path[-1] != "codecs":
                wrong.append([])
        case _:
            return
    for value in wrong:
        error = refused(schema, replaced(GOOD[schema], path, value))
        assert error.details[0].path.startswith(dotted(path)), value


@pytest.mark.parametrize(("schema", "path"), CASES)
def test_of_a_field_that_comes_twice_the_last_counts(schema: Body, path: Path) -> None:
    if isinstance(path[-1], int):
        return
    marker = "\N{SNOWMAN}"
    body = replaced(GOOD[schema], path, marker)
    name, value = msgspec.json.encode(path[-1]), msgspec.json.encode(at(GOOD[schema], path))
    twice = name + b":[[]]," + name + b":" + value
    raw = msgspec.json.encode(body).replace(name + b":" + msgspec.json.encode(marker), twice)
    assert parse(schema, raw) == parse(schema, msgspec.json.encode(GOOD[schema]))


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: schema.__name__)
def test_unknown_fields_are_refused_outside_of_webrtc_dictionaries_and_dropped_inside(schema: Body) -> None:
    expected = parse(schema, msgspec.json.encode(GOOD[schema]))
    for path in [(), *places(GOOD[schema])]:
        if not isinstance(at(GOOD[schema], path), dict) or path == ("payload",) or path[-1:] == ("parameters",):
            continue
        body = replaced(GOOD[schema], (*path, "addedByABrowser"), {"deep": [None]})
        if path:
            assert parse(schema, msgspec.json.encode(body)) == expected
        else:
            assert refused(schema, body).details[0].problem == "is not a known field"


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: schema.__name__)
@pytest.mark.parametrize("raw", [b"", b" ", b"null", b"[]", b'"x"', b"1", b"NaN", b"{", b"\xef\xbb\xbf{}", b"{}x"])
def test_what_is_no_object_is_refused(schema: Body, raw: bytes) -> None:
    if raw == b"" and getattr(schema, "empty_body", False):
        assert parse(schema, raw) == schema()
        return
    with pytest.raises(InvalidBody) as caught:
        parse(schema, raw)
    assert caught.value.details[0].path == ""


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: schema.__name__)
@pytest.mark.parametrize("depth", [40, 255, 1000, 1024, 1025, 10_000])
def test_a_field_that_nobody_knows_is_refused_however_deep_it_is(schema: Body, depth: int) -> None:
    good = msgspec.json.encode(GOOD[schema])[1:]
    comma = b"," if len(good) > 1 else b""
    for nested in nestings(depth):
        with pytest.raises(InvalidBody):
            parse(schema, b'{"nested":' + nested + comma + good)


def test_what_a_browser_adds_may_be_deep() -> None:
    for nested in (*nestings(40), *nestings(255)):
        assert parse(ProduceRequest, with_new_field(nested)) == load(ProduceRequest, GOOD[ProduceRequest])


@pytest.mark.parametrize("depth", [1000, 1024, 1025, 10_000])
def test_nesting_without_end_is_no_json_also_where_nobody_reads_it(depth: int) -> None:
    for nested in nestings(depth):
        with pytest.raises(InvalidBody, match="is not valid JSON"):
            parse(ProduceRequest, with_new_field(nested))


def nestings(depth: int) -> list[bytes]:
    return [opening * depth + b"1" + closing * depth for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"))]


def with_new_field(nested: bytes) -> bytes:
    body = replaced(GOOD[ProduceRequest], ("rtpParameters", "new"), "NESTED")
    return msgspec.json.encode(body).replace(b'"NESTED"', nested)


def test_a_list_of_problems_stays_short() -> None:
    schema = next(schema for schema in GOOD if "rtpParameters" in GOOD[schema])
    body = replaced(GOOD[schema], ("rtpParameters", "codecs"), [{}] * 100)
    body |= {"x" * 10_000: 1}
    error = refused(schema, body)
    assert len(error.details) == MAX_PROBLEMS
    assert all(len(problem.path) <= 200 and len(problem.problem) < 200 for problem in error.details)


def test_values_that_json_cannot_carry_are_refused_too() -> None:
    """``load`` is for values out of a JSON reader; what others hand it must still not pass."""
    schema = next(schema for schema in GOOD if "rtpParameters" in GOOD[schema])
    for wrong in (float("nan"), float("inf"), b"x", object(), {1, 2}):
        with pytest.raises(InvalidBody):
            load(schema, replaced(GOOD[schema], ("rtpParameters", "encodings", 0, "rid"), wrong))


@pytest.mark.parametrize("name", ["\x00", "a\x1bb", "\x9f"])
def test_a_problem_never_repeats_control_characters_that_a_client_chose(name: str) -> None:
    body = {"reason": "bye", name: 1}
    with pytest.raises(InvalidBody) as refused:
        parse(ReasonBody, json.dumps(body))
    assert refused.value.details[0].path.isprintable()
