"""msgspec and the derived marshmallow schemas hold against each other, over random bodies of every Struct, good and
damaged: what one takes the other takes, with the same value.

Only marshmallow takes what typed clients write: ``plain`` says it in the test's own words, and of what is left after it
both verdicts are the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from schemas import (
    admin,
    call,
    consumer,
    demo,
    error,
    health,
    live,
    node,
    producer,
    quality,
    signaling,
    stats,
    transport,
    wallet,
)
from schemas.base import dump, parse
from schemas.marshmallow import judged
from schemas.problem import InvalidBody
from schemas.rtp import ParameterMap, read_hook
from schemas.signaling import EventMessage, Reply
from tests.schemas.sample_bodies import GOOD, SHA_256, TRANSPORT_ID
from worker_bridge import connectivity, rtp

MODULES = (
    *(admin, call, consumer, demo, error, health, live, node, producer, quality, signaling, stats, transport, wallet),
    *(connectivity, rtp),
)
NOT_READ = {EventMessage, Reply, error.ErrorBody, connectivity.SrtpParameters, connectivity.ListenInfo}
Body = type[msgspec.Struct]
BODIES: list[Body] = sorted(
    {
        found
        for module in MODULES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__struct_fields__
        if found not in NOT_READ
    },
    key=lambda body: body.__name__,
)

LIKELY = [
    *(
        "c-1",
        "call_1",
        "user 1",
        "audio/opus",
        "VIDEO/VP8",
        "nack",
        "x" * 22,
        "é",
        "山田太郎",
        "BAD_REQUEST",
        "a0a0a0a0",
    ),
    *(
        TRANSPORT_ID,
        SHA_256,
        SHA_256.lower(),
        "2026-01-31T12:00:00.000Z",
        "2026-12",
        "2026-12-31",
        "urn:ietf:params:rtp-hdrext:sdes:mid",
    ),
]

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-300, 300).map(float)
    | st.text(max_size=10)
    | st.sampled_from(["x" * 2000, "\x00", "", 2**31, 2**32, 128, 256, -1, 0, 10**30, 1e300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def texts(info: Any) -> st.SearchStrategy[str]:
    """Texts that look like one of the pattern; any text where nearly all match."""
    matches = re.compile(info.pattern or "").search

    def fits(text: str) -> bool:
        return bool(matches(text)) and (info.min_length or 0) <= len(text) <= (info.max_length or 100)

    likely = [text for text in LIKELY if fits(text)]
    return st.sampled_from(likely) | st.text(max_size=10).filter(fits) if len(likely) > 6 else st.sampled_from(likely)


def wholes(info: Any) -> st.SearchStrategy[Any]:
    low, high = -(2**53) if info.ge is None else info.ge, 2**53 if info.le is None else info.le
    number = st.integers(low, high)
    return number | number.filter(lambda one: abs(one) < 2**53).map(float)


STRATEGIES: dict[type[Any], Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.Metadata: lambda info: good(info.type),
    inspect.StructType: lambda info: good_body(info.cls),
    inspect.UnionType: lambda info: st.one_of(*map(good, info.types)),
    inspect.NoneType: lambda _: st.none(),
    inspect.StrType: texts,
    inspect.IntType: wholes,
    inspect.FloatType: lambda info: st.floats(info.ge, info.le, allow_nan=False, allow_infinity=False),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.LiteralType: lambda info: st.sampled_from(info.values),
    inspect.EnumType: lambda info: st.sampled_from([one.value for one in info.cls]),
    inspect.VarTupleType: lambda info: st.lists(good(info.item_type), min_size=info.min_length or 0, max_size=3),
    inspect.DictType: lambda info: st.dictionaries(good(info.key_type), good(info.value_type), max_size=3),
    inspect.AnyType: lambda _: junk,
    inspect.CustomType: lambda _: good(inspect.type_info(ParameterMap)),
}


def good(info: Any) -> st.SearchStrategy[Any]:
    """JSON values that a type is meant to take."""
    return STRATEGIES[type(info)](info)


@functools.cache
def good_body(kind: Body) -> st.SearchStrategy[dict[str, Any]]:
    info: Any = inspect.type_info(kind)
    required, optional = {}, {}
    for field in info.fields:
        values = good(field.type)
        if not info.forbid_unknown_fields and not field.required:
            values |= st.none()
        (required if field.required else optional)[field.encode_name] = values
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def almost_good(draw: st.DrawFn, kind: Body) -> Any:
    """A good body with some places replaced, removed or added."""
    body = draw(good_body(kind))
    for _ in range(draw(st.integers(0, 3))):
        place = body
        while type(place) in (dict, list) and place:
            key = draw(st.sampled_from(sorted(place) if type(place) is dict else range(len(place))))
            if type(place[key]) in (dict, list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 3)):
                place[key] = draw(junk)
            else:
                del place[key]
            break
        if type(place) is dict and draw(st.booleans()):
            place[draw(st.text(max_size=5))] = draw(junk)
    return body


def plain(value: Any, info: Any) -> Any:
    """What typed clients write as msgspec takes it: whole numbers without a point, and nothing for what is not set."""
    match info:
        case inspect.Metadata():
            if isinstance(info.type, inspect.UnionType) and (info.extra or {}).get("empty_is_absent") and value == "":
                return None
            return plain(value, info.type)
        case inspect.UnionType():
            members = [inner for inner in info.types if not isinstance(inner, inspect.NoneType)]
            whole = next((one for one in members if isinstance(bare(one), inspect.IntType)), members[0])
            return plain(value, members[0] if len(members) == 1 else whole)
        case inspect.StructType() if type(value) is dict:
            types = {field.encode_name: field for field in info.fields}
            unset = [
                name
                for name, inner in value.items()
                if inner is None and not info.forbid_unknown_fields and name in types and not types[name].required
            ]
            return {
                name: plain(inner, types[name].type) if name in types else inner
                for name, inner in value.items()
                if name not in unset
            }
        case inspect.VarTupleType() if type(value) is list:
            return [plain(inner, info.item_type) for inner in value]
        case inspect.DictType() if type(value) is dict:
            return {name: plain(inner, info.value_type) for name, inner in value.items()}
        case inspect.CustomType():
            return plain(value, inspect.type_info(ParameterMap))
        case inspect.IntType() if type(value) is float and value.is_integer():
            return int(value)
    return value


def bare(info: Any) -> Any:
    return info.type if isinstance(info, inspect.Metadata) else info


def by_msgspec(kind: Body, value: Any) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=kind, dec_hook=read_hook)
    except msgspec.ValidationError:
        return None


def by_marshmallow(kind: Body, value: Any) -> Any:
    try:
        return judged(kind, value)
    except InvalidBody:
        return None


def same(one: Any, other: Any) -> bool:
    return bool(one == other) and repr(one) == repr(other)  # repr tells 1 from 1.0 and True


def as_json(value: Any) -> Any:
    """What is left of a generated value in JSON; None where it can't be written, for its lone surrogates."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (UnicodeEncodeError, msgspec.ValidationError):
        return None


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_msgspec_and_marshmallow_give_the_same_verdict_and_value(kind: Body, data: st.DataObject) -> None:
    value = as_json(data.draw(almost_good(kind)))
    if type(value) is not dict:
        return
    taken, said = by_msgspec(kind, value), by_marshmallow(kind, value)
    assert taken is None or same(taken, said)
    assert same(by_msgspec(kind, plain(value, inspect.type_info(kind))), said)


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_as_the_same(kind: Body, data: st.DataObject) -> None:
    value = by_marshmallow(kind, as_json(data.draw(good_body(kind))))
    if value is not None:  # else a rule between fields, which generated input misses
        assert same(by_msgspec(kind, dump(value)), value)


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.__name__)
@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_nothing_but_invalid_body_escapes_for_damaged_bytes(kind: Body, data: st.DataObject) -> None:
    raw = bytearray(msgspec.json.encode(GOOD[kind]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 4)))
        raw[start:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"}", b"[", b",", b"null", b"1e9", b"1.0", b"\\u0000"])
        )
    try:
        value = parse(kind, bytes(raw))
    except InvalidBody:
        return
    assert type(value) is kind


def test_hardly_any_generated_body_is_refused() -> None:
    """Guards the guards: were every good body refused, agreement would mean nothing."""
    verdicts: list[bool] = []

    @settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(body=good_body(producer.ProduceRequest))
    def collect(body: Any) -> None:
        verdicts.append(by_marshmallow(producer.ProduceRequest, as_json(body)) is not None)

    collect()
    assert sum(verdicts) > len(verdicts) / 4
