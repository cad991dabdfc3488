"""The compiled reader and writer agree with marshmallow on generated input, good and bad, and what is dumped loads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from sample_bodies import GOOD

from schemas import admin, call, consumer, error, health, producer, rtp, signaling, stats, transport, wallet
from schemas.base import LenientSchema, ObjectOf, Schema, _reader, dump, instance, load, parse
from schemas.fields import Choice, Flag, FreeObject, ListOf, Name, Number, Text, Timestamp, Uuid, Whole
from schemas.problem import InvalidBody

MODULES = (admin, call, consumer, error, health, producer, rtp, signaling, stats, transport, wallet)
BODIES = sorted(
    {
        found
        for module in MODULES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Schema) and found not in (Schema, LenientSchema)
    },
    key=lambda schema: schema.__name__,
)
Body = type[Schema[Any]]

plain_text = st.text(st.characters(categories=["L", "N", "P", "S"]))
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.sampled_from(["x" * 2000, "\x00", 2**31, 2**32, 128, 256, -1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
parameters = st.text(max_size=5) | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False, allow_infinity=False)


def text_field(field: Text) -> st.SearchStrategy[str]:
    if field.pattern:
        return st.from_regex(field.pattern, fullmatch=True).filter(lambda text: len(text) <= field.at_most)
    any_text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=field.at_least)
    return any_text.filter(lambda text: len(text) <= field.at_most)


STRATEGIES: dict[type[Any], Callable[[Any], st.SearchStrategy[Any]]] = {
    ListOf: lambda field: st.lists(good_field(field.item), min_size=field.at_least, max_size=3),
    ObjectOf: lambda field: good_body(field.schema),
    Timestamp: lambda _: st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    Uuid: lambda _: st.uuids().map(str),
    Name: lambda field: plain_text.filter(lambda text: 1 <= len(text) <= field.at_most),
    Text: text_field,
    wallet.Adjustment: lambda field: st.integers(field.at_least, field.at_most).filter(bool),
    Whole: lambda field: st.integers(field.at_least, field.at_most),
    Number: lambda field: st.floats(field.at_least, allow_nan=False, allow_infinity=False),
    Choice: lambda field: st.sampled_from(field.words),
    Flag: lambda _: st.booleans(),
    FreeObject: lambda _: st.dictionaries(plain_text, junk, max_size=3),
    rtp.ParameterMap: lambda _: st.dictionaries(st.text(min_size=1, max_size=5), parameters | st.none(), max_size=4),
    rtp.RtxSsrc: lambda _: st.fixed_dictionaries({"ssrc": st.integers(1, 2**32 - 1)}),
    signaling.RequestIdField: lambda _: st.integers(-(2**53) + 1, 2**53 - 1) | st.just("r-1"),
}


def good_field(field: Any) -> st.SearchStrategy[Any]:
    """JSON values that a field is meant to accept, from its declaration."""
    return next(STRATEGIES[kind](field) for kind in type(field).__mro__ if kind in STRATEGIES)


@functools.cache
def good_body(schema: Body) -> st.SearchStrategy[dict[str, Any]]:
    required, optional = {}, {}
    for field in instance(schema).load_fields.values():
        values = good_field(field)
        if field.allow_none or field.null_is_absent:  # type: ignore[attr-defined]
            values |= st.none()
        (required if field.required else optional)[field.data_key] = values
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def almost_good(draw: st.DrawFn, schema: Body) -> Any:
    """A good body with some places replaced, removed or added."""
    body = draw(good_body(schema))
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


def outcome(read: Any, value: Any) -> Any:
    try:
        return read(value)
    except (ValidationError, InvalidBody):
        return None


def same(one: Any, other: Any) -> bool:
    return bool(one == other) and repr(one) == repr(other)  # repr tells 1 from 1.0 and True


def spells_like_a_typed_client(value: Any) -> bool:
    """Whether 1.0, "" or 0 is in it, which only marshmallow takes for 1 or for what is not given."""
    if isinstance(value, dict | list):
        return any(map(spells_like_a_typed_client, value.values() if isinstance(value, dict) else value))
    return value in ("", 0) or (isinstance(value, float) and value.is_integer())


@pytest.mark.parametrize("schema", BODIES, ids=lambda schema: schema.__name__)
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_reader_and_marshmallow_give_the_same_verdict_and_value(schema: Body, data: st.DataObject) -> None:
    try:
        value = orjson.loads(orjson.dumps(data.draw(almost_good(schema))))
    except (TypeError, orjson.JSONDecodeError):
        return  # lone surrogates and the like can't be written as JSON at all
    compiled, loaded = outcome(_reader(schema), value), outcome(instance(schema).load, value)
    if compiled is None and loaded is not None:
        assert spells_like_a_typed_client(value)
    else:
        assert same(compiled, loaded)


@pytest.mark.parametrize("schema", BODIES, ids=lambda schema: schema.__name__)
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_what_is_dumped_loads_as_the_same_and_marshmallow_dumps_it_alike(schema: Body, data: st.DataObject) -> None:
    value = outcome(functools.partial(load, schema), data.draw(good_body(schema)))
    if value is None:
        return  # a rule that generated input misses: control characters, lengths of fingerprints
    dumped = dump(schema, value)
    assert dumped == instance(schema).dump(value)
    assert list(dumped) == list(instance(schema).dump(value))
    assert same(parse(schema, orjson.dumps(dumped)), value)


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: schema.__name__)
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_nothing_but_invalid_body_escapes_for_damaged_bytes(schema: Body, data: st.DataObject) -> None:
    raw = bytearray(orjson.dumps(GOOD[schema]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 4)))
        raw[start:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"}", b"[", b",", b"null", b"1e9"])
        )
    try:
        value = parse(schema, bytes(raw))
    except InvalidBody:
        return
    assert type(value) is schema.value_type


def test_hardly_any_generated_body_is_refused() -> None:
    """Guards the guards: were every good body refused, agreement would mean nothing."""
    verdicts: list[bool] = []

    @settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(body=good_body(producer.ProduceRequestSchema))
    def collect(body: Any) -> None:
        verdicts.append(outcome(_reader(producer.ProduceRequestSchema), body) is not None)

    collect()
    assert sum(verdicts) > len(verdicts) / 4
