"""The marshmallow schemas of all bodies, derived from their Structs: they judge what msgspec has refused.

msgspec stops at the first problem; these find every one, with its path. And they take two spellings of typed clients
that msgspec's types can't express: 111.0 for a whole number and, inside WebRTC's dictionaries (the Structs that drop
unknown fields), null for a field that is not set. All else they take and refuse as msgspec does, with the same values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypeVar, cast

import marshmallow
import msgspec
from marshmallow import EXCLUDE, RAISE, ValidationError, fields, missing, post_load
from msgspec import inspect

from schemas.problem import MAX_PROBLEMS, InvalidBody, flatten
from schemas.rtp import ParameterMap, parameters_of

T = TypeVar("T")
Extra = Mapping[str, Any]
"""``Meta.extra`` of a type: notes for this module, and the words of its message."""
Judge = Callable[[Any], Any]
"""Turns a JSON value into the value that it stands for. Raises ValidationError."""

SPOKEN: Final[Mapping[type, str]] = {str: "a string", int: "a whole number", float: "a number"}
PYTHON: Final[Mapping[type, type]] = {inspect.StrType: str, inspect.IntType: int, inspect.FloatType: float}


def judged(kind: type[T], value: Any) -> T:
    """The Struct that a JSON value stands for. Raises InvalidBody with all problems."""
    try:
        return cast("T", judge_of(cast("Hashable", kind))(value))
    except ValidationError as error:
        raise InvalidBody(flatten(error.messages)) from None


@functools.cache
def judge_of(kind: Any) -> Judge:
    return _judge(inspect.type_info(kind))


class _Schema(marshmallow.Schema):
    """Base of the schemas: loads into a Struct."""

    error_messages = {"type": "must be an object", "unknown": "is not a known field"}  # noqa: RUF012 -- marshmallow's
    struct_type: type[msgspec.Struct]

    @post_load
    def _make(self, values: dict[str, Any], **_: Any) -> msgspec.Struct:
        try:
            return self.struct_type(**values)
        except ValueError as error:  # a rule between fields: "path: problem"
            path, _colon, problem = str(error).partition(": ")
            raise ValidationError({path: [problem]}) from None


class _Field(fields.Field[Any]):
    """One field of a Struct. Where the field may be unset, null or the empty text may stand for that."""

    default_error_messages = {"required": "is required", "null": "must not be null"}  # noqa: RUF012 -- marshmallow's

    def __init__(self, declared: inspect.Field, *, null_is_absent: bool) -> None:
        bare, extra = _bare(declared.type)
        nullable = isinstance(bare, inspect.UnionType) and bare.includes_none
        super().__init__(data_key=declared.encode_name, required=declared.required, allow_none=nullable)
        self._accept = _judge(declared.type)
        self._absent = [None] * null_is_absent + [""] * bool(extra.get("empty_is_absent"))

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        return super().deserialize(missing if value in self._absent else value, attr, data, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        return self._accept(value)


def _judge(info: inspect.Type) -> Judge:
    bare, extra = _bare(info)
    return JUDGES[type(bare)](bare, extra)


def _bare(info: inspect.Type) -> tuple[inspect.Type, Extra]:
    return (info.type, info.extra or {}) if isinstance(info, inspect.Metadata) else (info, {})


def _object(info: Any, _extra: Extra) -> Judge:
    lenient = not info.forbid_unknown_fields
    declared = {one.name: _Field(one, null_is_absent=lenient and not one.required) for one in info.fields}
    meta = type("Meta", (), {"unknown": EXCLUDE if lenient else RAISE})
    schema = type(info.cls.__name__, (_Schema,), {**declared, "Meta": meta, "struct_type": info.cls})
    return cast("Judge", schema().load)


def _union(info: Any, _extra: Extra) -> Judge:
    """The judge of a union of single values. Null is judged by the field, except in a map's entries."""
    members = [inner for inner in info.types if not isinstance(inner, inspect.NoneType)]
    if len(members) == 1:
        return _judge(members[0])
    judges = {PYTHON[type(_bare(inner)[0])]: _judge(inner) for inner in members}
    spoken = " or ".join(SPOKEN[kind] for kind in judges if kind is not int or float not in judges)

    def judge(value: Any) -> Any:
        kind = type(value) if whole(value) is None else int
        if kind in judges:
            return judges[kind](value)
        if value is None and info.includes_none:
            return None
        raise ValidationError(f"must be {spoken}")

    return judge


def whole(value: Any) -> int | None:
    """The whole number that a JSON number stands for, however it is written: ``111``, ``111.0``, ``1.11e2`` (JSON
    Schema 2020-12 §6.1.1). None for any other value, true and false included."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def _integer(info: Any, _extra: Extra) -> Judge:
    def judge(value: Any) -> int:
        number = whole(value)
        if number is None:
            raise ValidationError("must be a whole number")
        _check_bounds(number, info.ge, info.le, "must be {}")
        return number

    return judge


def _number(info: Any, _extra: Extra) -> Judge:
    def judge(value: Any) -> float:
        if type(value) not in (int, float) or not isfinite(value):
            raise ValidationError("must be a number")
        _check_bounds(value, info.ge, info.le, "must be {}")
        return float(value)

    return judge


def _text(info: Any, extra: Extra) -> Judge:
    matches = re.compile(info.pattern or "").search

    def judge(value: Any) -> str:
        if type(value) is not str:
            raise ValidationError("must be a string")
        _check_bounds(len(value), info.min_length or 0, info.max_length, "must have {} characters")
        if not matches(value):
            raise ValidationError(extra["form"])
        return value

    return judge


def _one_of(kind: type, values: tuple[Any, ...], problem: str) -> Judge:
    def judge(value: Any) -> Any:
        if type(value) is not kind or value not in values:
            raise ValidationError(problem)
        return values[values.index(value)]  # of an enum, its member

    return judge


def _choice(info: Any, _extra: Extra) -> Judge:
    values = info.values if isinstance(info, inspect.LiteralType) else tuple(info.cls)
    return _one_of(str, values, "must be " + " or ".join(f'"{word}"' for word in values))


def _items(info: Any, _extra: Extra) -> Judge:
    item = _judge(info.item_type)

    def judge(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValidationError("must be a list")
        _check_bounds(len(value), info.min_length or 0, info.max_length, "must have {} items")
        return tuple(_all(enumerate(value), lambda _index, inner: item(inner)).values())

    return judge


def _entries(info: Any, _extra: Extra) -> Judge:
    name_of, value_of = _judge(info.key_type), _judge(info.value_type)

    def judge(value: Any) -> dict[Any, Any]:
        if type(value) is not dict:
            raise ValidationError("must be an object")
        _check_bounds(len(value), info.min_length or 0, info.max_length, "must have {} entries")
        return _all(value.items(), lambda name, inner: (name_of(name), value_of(inner))[1])

    return judge


def _all(parts: Iterable[tuple[Any, Any]], accept: Callable[[Any, Any], Any]) -> dict[Any, Any]:
    """Judge all parts, by their names or indexes. Raises ValidationError with the problems of the first few bad
    ones."""
    read: dict[Any, Any] = {}
    problems: dict[Any, Any] = {}
    for place, value in parts:
        try:
            read[place] = accept(place, value)
        except ValidationError as error:
            problems[place] = error.messages
            if len(problems) == MAX_PROBLEMS:
                break  # more would not be told anyway, and finding them takes time
    if problems:
        raise ValidationError(problems)
    return read


def _check_bounds(size: float, at_least: float | None, at_most: float | None, sentence: str) -> None:
    if (at_least is not None and size < at_least) or (at_most is not None and size > at_most):
        bounds = f"at least {at_least}" if at_most is None else f"{at_least} to {at_most}"
        raise ValidationError(sentence.format(bounds))


JUDGES: Final[Mapping[type[inspect.Type], Callable[[Any, Extra], Judge]]] = {
    inspect.StructType: _object,
    inspect.UnionType: _union,
    inspect.IntType: _integer,
    inspect.FloatType: _number,
    inspect.StrType: _text,
    inspect.BoolType: lambda _info, _extra: _one_of(bool, (True, False), "must be true or false"),
    inspect.LiteralType: _choice,
    inspect.EnumType: _choice,
    inspect.VarTupleType: _items,
    inspect.DictType: _entries,
    inspect.CustomType: lambda _info, _extra: lambda value: parameters_of(judge_of(ParameterMap)(value)),
    inspect.AnyType: lambda _info, _extra: lambda value: value,
}
"""The judges by kind of type. The one type that msgspec does not know is ``Parameters`` of ``worker_bridge``."""
