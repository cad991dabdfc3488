"""What clients in typed languages write: whole numbers with a point or an exponent, and zero values for "not set"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.base import load, parse
from schemas.problem import InvalidBody
from schemas.producer import ProduceRequest
from schemas.signaling import Envelope
from tests.schemas.sample_bodies import EVERY_RTP_FIELD, GOOD
from tests.schemas.wrong_bodies import Path, at, dotted, places, removed, replaced
from worker_bridge.connectivity import IceCandidate, IceParameters
from worker_bridge.ortc import validate_parameters
from worker_bridge.rtp import RtpParameters

Body = type[Any]
MARK = "\N{SNOWMAN}"
NUMBERED = GOOD | {Envelope: {"type": "ping", "payload": {}, "requestId": 17}}
WHOLE_NUMBERS = [
    pytest.param(schema, path, id=f"{schema.__name__}-{dotted(path)}")
    for schema in NUMBERED
    for path in places(NUMBERED[schema])
    if type(at(NUMBERED[schema], path)) is int
]
UNSET_TEXTS = [("mid",), ("msid",), ("encodings", 0, "rid"), ("encodings", 0, "scalabilityMode"), ("rtcp", "cname")]
UNSET_SSRCS = [("encodings", 0, "ssrc"), ("encodings", 0, "rtx", "ssrc")]
NO_WHOLE_NUMBERS = ["true", "1.5", '"1"', "1e400", "-1e400", "NaN", "Infinity", "1e300", "1" * 400, "1" * 5000, "1e-3"]


def written(body: Any, path: Path, number: str) -> bytes:
    """The body in JSON, with ``number`` spelled at ``path`` as it is."""
    return json.dumps(replaced(body, path, MARK)).replace(json.dumps(MARK), number).encode()


def spellings(number: int) -> list[str]:
    digits, sign = str(abs(number)), "-" if number < 0 else ""
    scientific = f"{sign}{digits[0]}.{digits[1:] or '0'}e{len(digits) - 1}"
    return [
        f"{number}.0",
        f"{number}.000",
        scientific,
        scientific.replace("e", "E+"),
        f"{number * 10}E-1",
        f"{number}e0",
    ]


@pytest.mark.parametrize(("schema", "path"), WHOLE_NUMBERS)
def test_a_whole_number_is_one_however_it_is_written(schema: Body, path: Path) -> None:
    good = NUMBERED[schema]
    expected = parse(schema, json.dumps(good))
    for spelled in spellings(at(good, path)):
        value = parse(schema, written(good, path, spelled))
        assert (value, repr(value)) == (expected, repr(expected)), spelled  # repr tells 1 from 1.0


@pytest.mark.parametrize(("schema", "path"), WHOLE_NUMBERS)
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(number=st.integers(-(2**70), 2**70) | st.integers(-300, 300) | st.sampled_from([2**31, 2**32, 2**53, 2**63]))
def test_limits_hold_for_every_spelling(schema: Body, path: Path, number: int) -> None:
    def verdict(spelled: str) -> Any:
        try:
            return repr(parse(schema, written(NUMBERED[schema], path, spelled)))
        except InvalidBody as error:
            return {problem.path for problem in error.details}

    number = int(float(number))  # what a double holds exactly: other numbers are not the same number with a point
    assert {verdict(spelled) == verdict(str(number)) for spelled in spellings(number)} == {True}


@pytest.mark.parametrize(("schema", "path"), WHOLE_NUMBERS)
def test_what_is_no_whole_number_is_refused_cleanly(schema: Body, path: Path) -> None:
    for spelled in NO_WHOLE_NUMBERS:
        if path == ("requestId",) and spelled == '"1"':
            continue
        if "parameters" in path and spelled in ('"1"', "1.5", "1e-3"):
            continue
        with pytest.raises(InvalidBody) as refused:
            parse(schema, written(NUMBERED[schema], path, spelled))
        assert {problem.path for problem in refused.value.details} <= {dotted(path), ""}, spelled


@pytest.mark.parametrize("path", UNSET_TEXTS, ids=dotted)
def test_an_empty_text_for_an_id_or_a_name_is_as_not_given(path: Path) -> None:
    without = validate_parameters(load(RtpParameters, removed(EVERY_RTP_FIELD, path)))
    for unset in ("", None):
        assert validate_parameters(load(RtpParameters, replaced(EVERY_RTP_FIELD, path, unset))) == without


def produce(rtp_parameters: Any) -> RtpParameters:
    """What becomes of them in RTC-04."""
    return load(ProduceRequest, GOOD[ProduceRequest] | {"rtpParameters": rtp_parameters}).rtp_parameters


@pytest.mark.parametrize("path", UNSET_SSRCS, ids=dotted)
@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
def test_an_ssrc_of_zero_is_as_not_given_where_a_mid_says_which_stream_it_is(path: Path, zero: float) -> None:
    gone = path[: path.index("rtx") + 1] if "rtx" in path else path
    assert produce(replaced(EVERY_RTP_FIELD, path, zero)) == produce(removed(EVERY_RTP_FIELD, gone))


@pytest.mark.parametrize("path", UNSET_SSRCS, ids=dotted)
def test_an_ssrc_of_zero_is_refused_where_there_is_no_mid(path: Path) -> None:
    zero = replaced(EVERY_RTP_FIELD, path, 0)
    for body in (removed(zero, ("mid",)), replaced(zero, ("mid",), ""), replaced(zero, ("mid",), None)):
        with pytest.raises(InvalidBody) as refused:
            produce(body)
        assert [(problem.path, problem.problem) for problem in refused.value.details] == [
            (f"rtpParameters.{dotted(path)}", "must be 1 to 4294967295")
        ]


@pytest.mark.parametrize("path", UNSET_SSRCS, ids=dotted)
@pytest.mark.parametrize("wrong", [False, "0", "", [], -1])
def test_what_only_resembles_a_zero_is_no_ssrc(path: Path, wrong: Any) -> None:
    with pytest.raises(InvalidBody) as refused:
        produce(replaced(EVERY_RTP_FIELD, path, wrong))
    assert refused.value.details[0].path == f"rtpParameters.{dotted(path)}"


@pytest.mark.parametrize("mid", [0, True, {}, []])
def test_a_mid_of_another_type_is_the_problem_beside_any_ssrc(mid: Any) -> None:
    with pytest.raises(InvalidBody) as refused:
        produce(replaced(replaced(EVERY_RTP_FIELD, ("encodings", 0, "ssrc"), 0), ("mid",), mid))
    assert "rtpParameters.mid" in {problem.path for problem in refused.value.details}


@pytest.mark.parametrize("encodings", [[1], {"0": {}}, "x", [None], [{"rtx": 0}]])
def test_encodings_of_another_shape_are_refused_beside_a_mid(encodings: Any) -> None:
    with pytest.raises(InvalidBody) as refused:
        produce(replaced(EVERY_RTP_FIELD, ("encodings",), encodings))
    assert refused.value.details[0].path.startswith("rtpParameters.encodings")


def test_nothing_that_a_reader_is_given_is_changed() -> None:
    body = replaced(EVERY_RTP_FIELD, ("encodings", 0, "ssrc"), 0)
    before = json.dumps(body)
    produce(body)
    assert json.dumps(body) == before


def test_two_spellings_of_one_request_are_the_same_request() -> None:
    """A retry may be written by another serializer, and is known by its parameters' equality."""
    body = replaced(GOOD[ProduceRequest], ("rtpParameters", "encodings", 0, "ssrc"), 1724105310)
    plain = parse(ProduceRequest, json.dumps(body))
    spelled = json.dumps(body).replace("1724105310", "1.72410531E9").replace(": 48000", ": 48000.0")
    assert parse(ProduceRequest, spelled) == plain


def test_what_comes_back_from_typed_clients_of_ice_is_read() -> None:
    ice = {"usernameFragment": "frag", "password": "x" * 22}
    assert load(IceParameters, ice | {"iceLite": None}) == load(IceParameters, ice)
    candidate = {"foundation": "f", "priority": 1.0, "address": "127.0.0.1", "protocol": "udp", "port": 4.0e4}
    unset = candidate | {"type": None, "tcpType": None}
    assert load(IceCandidate, unset) == load(IceCandidate, candidate | {"priority": 1, "port": 40000})
