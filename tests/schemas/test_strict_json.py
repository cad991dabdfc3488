"""What decodes, what doesn't, and that nothing but InvalidBody comes out of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.problem import InvalidBody
from schemas.strict_json import decode, decode_object

leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    leaves | texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
objects = st.dictionaries(texts, values, max_size=4)


@settings(deadline=None)  # a busy machine is no failure
@given(objects, st.sampled_from([None, 1, "\t"]), st.booleans(), st.booleans())
def test_every_object_is_read_however_it_is_written(
    value: dict[str, Any], indent: Any, ascii_: bool, text: bool
) -> None:
    written = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    assert decode_object(written if text else written.encode()) == value


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_arbitrary_input_is_an_object_or_refused(raw: bytes | str) -> None:
    try:
        value = decode_object(raw)
    except InvalidBody:
        return
    assert type(value) is dict


@settings(deadline=None)  # a busy machine is no failure
@given(objects, texts, values, values)
def test_of_a_name_that_comes_twice_the_last_counts(value: dict[str, Any], name: str, first: Any, last: Any) -> None:
    pairs = [*value.items(), (name, first), (name, last)]
    raw = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(inner)}" for key, inner in pairs) + "}"
    assert decode_object(raw) == value | {name: last}


class Lenient(msgspec.Struct):
    known: int = 0


@pytest.mark.parametrize(
    "skipped", [b'"\xff"', b'"\\ud800"', b"NaN", b"01", b'"\n"', b"[" * 2000 + b"]" * 2000, b"[" * 30_000]
)
def test_what_nobody_reads_is_json_all_the_same(skipped: bytes) -> None:
    with pytest.raises(InvalidBody):
        decode(b'{"unknown":' + skipped + b',"known":1}', msgspec.json.Decoder(Lenient).decode)


def test_what_is_not_of_the_type_is_msgspecs_to_say() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"known":"x"}', msgspec.json.Decoder(Lenient).decode)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\n"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":"\ud800"}',
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_what_rfc_8259_excludes_is_refused(raw: bytes | str) -> None:
    with pytest.raises(InvalidBody) as caught:
        decode_object(raw)
    assert caught.value.details[0].problem.startswith("is not valid JSON: ")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[0,{"a":', "}]")])
def test_what_ends_may_be_nested(opening: str, closing: str) -> None:
    depth = 0
    value = decode_object('{"a":' + opening * 100 + "1" + closing * 100 + "}")
    while value != 1:
        value = value["a"] if isinstance(value, dict) else value[-1]
        depth += 1
    assert depth == 1 + 100 * (opening.count("[") + opening.count("{"))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert decode_object('{"a":[' + ",".join(["[]", "{}"] * 5000) + "]}")["a"][1] == {}


@pytest.mark.parametrize("unit", ["[", '{"a":', '{"a": [', "[[],"])
def test_the_largest_body_full_of_nesting_is_refused_and_no_recursion_escapes(unit: str) -> None:
    for closed in (False, True):
        count = (64 << 10) // (2 * len(unit)) - 8
        closing = unit.count("[") * "]" + unit.count("{") * "}"
        raw = '{"a":' + unit * count + "1" + (closing * count if closed else "") + "}"
        with pytest.raises(InvalidBody):
            decode_object(raw)
