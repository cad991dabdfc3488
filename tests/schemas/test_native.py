"""The native reader and writer by themselves: plans that are none, values that they must not keep, and callables that
misbehave.

That they agree with marshmallow is ``test_agreement.py``'s business.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from sample_bodies import GOOD

from schemas._native import Reader, Writer
from schemas.base import _reader
from schemas.producer import ProduceRequest, ProduceRequestSchema


class Refusal(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Pair:
    one: int
    two: str


@dataclass(frozen=True, slots=True)
class Stranger:
    one: int


SMALL = ("whole", 0, 9)
ANY_TEXT = ("text", 0, 5, "printable")


def required(name: str, plan: tuple[Any, ...]) -> tuple[Any, ...]:
    return (name, plan, False, None, False, "refused")


def pair(*fields: tuple[Any, ...]) -> tuple[Any, ...]:
    return ("object", True, Pair, (Pair.one, Pair.two), True, fields)  # type: ignore[attr-defined]


PAIR = pair(required("one", SMALL), required("two", ANY_TEXT))


@pytest.mark.parametrize(
    "plan",
    [
        None,
        (),
        "whole",
        ("nothing",),
        (7,),
        ("whole", 1),
        ("whole", 0, 2**64),
        ("text", 0, 5, "loud"),
        ("list", 0, 5, ("nothing",)),
        ("choice", ["a"]),
        ("object", True, Pair, None, False, [required("one", SMALL)]),
        ("object", True, Pair, None, False, (("one", SMALL),)),
        ("object", True, Pair, (Pair.one,), True, (required("one", SMALL), required("two", ANY_TEXT))),  # type: ignore[attr-defined]
        ("object", True, Pair, (Stranger.one,), True, (required("one", SMALL),)),  # type: ignore[attr-defined]
        ("object", True, Pair, (7,), True, (required("one", SMALL),)),
        ("object", True, 7, (Pair.one,), True, (required("one", SMALL),)),  # type: ignore[attr-defined]
    ],
    ids=repr,
)
def test_what_is_no_plan_is_refused(plan: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        Reader(plan, Refusal)


def test_a_dataclass_is_made_as_by_itself() -> None:
    made = Reader(PAIR, Refusal)({"two": "b", "one": 1})
    assert made == Pair(1, "b")
    assert hash(made) == hash(Pair(1, "b"))
    assert repr(made) == repr(Pair(1, "b"))
    with pytest.raises(AttributeError):
        made.one = 2


@pytest.mark.parametrize(
    "value", [{}, {"one": 1}, {"one": 1, "two": "b", "three": 3}, {"one": True, "two": "b"}, [], 1]
)
def test_what_is_refused_has_the_given_type_and_no_text(value: Any) -> None:
    with pytest.raises(Refusal) as refused:
        Reader(PAIR, Refusal)(value)
    assert str(refused.value) == ""


def test_a_callable_s_own_failure_comes_through() -> None:
    def fail(_: Any) -> None:
        raise KeyError("mine")

    read = Reader(("list", 0, 5, ("call", fail)), Refusal)
    with pytest.raises(KeyError, match="mine"):
        read([1])


def test_a_callable_that_changes_the_list_under_the_reader_does_no_harm() -> None:
    value: list[Any] = [[], [], []]
    read = Reader(("list", 0, 5, ("call", lambda _: value.clear())), Refusal)
    with pytest.raises(Refusal):
        read(value)


@pytest.mark.parametrize("value", [{"one": 1, "two": "b"}, {"one": 1, "two": 7}, {"one": "x", "two": "b"}])
def test_it_keeps_nothing_of_what_it_read(value: dict[str, Any]) -> None:
    read = Reader(PAIR, Refusal)
    held = [Pair, *value.values()]

    def try_it() -> None:
        with contextlib.suppress(Refusal):
            read(value)

    try_it()
    before = [sys.getrefcount(one) for one in held]
    for _ in range(100):
        try_it()
    assert [sys.getrefcount(one) for one in held] == before


def test_it_lets_its_plan_go() -> None:
    def accept(value: Any) -> Any:
        return value

    before = sys.getrefcount(accept)
    read = Reader(("list", 0, 5, ("call", accept)), Refusal)
    assert sys.getrefcount(accept) > before
    del read
    assert sys.getrefcount(accept) == before


def test_a_remembered_part_is_the_same_object_again() -> None:
    body = GOOD[ProduceRequestSchema]
    one, other = (_reader(ProduceRequestSchema)(body) for _ in range(2))
    assert isinstance(one, ProduceRequest)
    assert one.rtp_parameters.codecs is other.rtp_parameters.codecs


WRITES_PAIR = ("object", (("one", "one", None, False), ("second", "two", ("call", str.upper), True)))


@pytest.mark.parametrize(
    "plan",
    [None, (), ("nothing", None), ("list",), ("call",), ("object", []), ("object", (("one", "one", None),))],
    ids=repr,
)
def test_what_is_no_plan_for_writing_is_refused(plan: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Writer(plan)


def test_a_field_is_written_under_its_name_and_an_absent_one_is_left_out_or_null() -> None:
    write = Writer(WRITES_PAIR)
    assert write(Pair(1, "b")) == {"one": 1, "second": "B"}
    assert write(Pair(None, None)) == {"second": None}  # type: ignore[arg-type]
    assert Writer(("list", WRITES_PAIR))((Pair(1, "b"),)) == [{"one": 1, "second": "B"}]
    assert Writer(("list", None))((1, "b")) == [1, "b"]


def test_what_has_not_the_fields_is_not_written() -> None:
    with pytest.raises(AttributeError):
        Writer(WRITES_PAIR)(Stranger(1))
    with pytest.raises(TypeError):
        Writer(WRITES_PAIR)(Pair(1, 7))  # type: ignore[arg-type]


def test_the_writer_keeps_nothing_of_what_it_wrote() -> None:
    write, pair_of_many = Writer(("list", WRITES_PAIR)), [Pair(1, "b")]
    write(pair_of_many)
    before = sys.getrefcount(pair_of_many[0]), sys.getrefcount(pair_of_many)
    for _ in range(100):
        write(pair_of_many)
    assert (sys.getrefcount(pair_of_many[0]), sys.getrefcount(pair_of_many)) == before


def test_what_can_be_in_no_cycle_is_not_the_collectors_business() -> None:
    assert not gc.is_tracked(Reader(PAIR, Refusal)({"one": 1, "two": "b"}))
    holds_a_list = pair(required("one", SMALL), required("two", ("call", lambda value: [value])))
    assert gc.is_tracked(Reader(holds_a_list, Refusal)({"one": 1, "two": "b"}))
    thawed = ("object", True, Pair, (Pair.one, Pair.two), False, PAIR[-1])  # type: ignore[attr-defined]
    assert gc.is_tracked(Reader(thawed, Refusal)({"one": 1, "two": "b"}))
