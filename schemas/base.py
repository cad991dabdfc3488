"""The base of every schema, and the three ways to use one: parse bytes, load a JSON value, dump a dataclass.

A schema is declared once, as marshmallow fields that stand next to the frozen dataclass they load into. From the
declaration a plan is made, by which native code takes a good body at an eightieth of marshmallow's price; a
body that it refuses goes through marshmallow's own ``load``, whose verdict and list of problems are the ones that
count. Knows no body, and nothing of HTTP.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args

import marshmallow
from marshmallow import EXCLUDE, RAISE, ValidationError, post_dump, post_load

from schemas._native import Reader as NativeReader
from schemas._native import Writer as NativeWriter
from schemas.fields import Plan, Reader, StrictField, remembering
from schemas.problem import InvalidBody, flatten
from schemas.wire import decode

T = TypeVar("T")


def camel_case(name: str) -> str:
    """``rtp_parameters`` as it is spelled on the wire: ``rtpParameters``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Schema(marshmallow.Schema, Generic[T]):
    """``class ThingSchema(Schema[Thing])`` loads into, and dumps from, the frozen dataclass ``Thing``.

    The fields' names are the dataclass's, in snake_case; the wire has them in camelCase. Unknown fields are refused.
    """

    class Meta:
        unknown = RAISE

    error_messages = {"type": "must be an object", "unknown": "is not a known field"}  # noqa: RUF012 -- marshmallow's

    value_type: ClassVar[type[Any]]
    empty_body: ClassVar[bool] = False  # whether no body at all counts as {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if (args := get_args(base)) and isinstance(args[0], type):
                cls.value_type = args[0]

    @classmethod
    def make(cls, **values: Any) -> T:
        """The dataclass of checked values. A subclass that has rules between fields overrides this, and raises
        ValidationError with the field's wire name."""
        return cast("T", cls.value_type(**values))

    def on_bind_field(self, field_name: str, field_obj: marshmallow.fields.Field[Any]) -> None:
        if field_obj.data_key is None:
            field_obj.data_key = camel_case(field_name)

    @post_load
    def _make(self, values: dict[str, Any], **_: Any) -> T:
        return self.make(**values)

    @post_dump
    def _leave_out_absent(self, dumped: dict[str, Any], **_: Any) -> dict[str, Any]:
        nullable = {field.data_key for field in self.dump_fields.values() if field.allow_none}
        return {name: value for name, value in dumped.items() if value is not None or name in nullable}


class LenientSchema(Schema[T]):
    """A schema of WebRTC's own dictionaries: browsers add fields, so unknown ones are accepted and dropped."""

    class Meta:
        unknown = EXCLUDE


class ObjectOf(StrictField[T], Generic[T]):
    """An object of another schema. ``remember`` as in ``ListOf``."""

    def __init__(self, schema: type[Schema[T]], *, remember: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.schema = schema
        self._remember = remember

    def accept(self, value: Any) -> T:
        return cast("T", instance(self.schema).load(value))

    def plan(self) -> Plan:
        return remembering(_plan(self.schema)) if self._remember else _plan(self.schema)

    def write(self, value: T) -> Any:
        return dump(self.schema, value)

    def write_plan(self) -> Plan:
        return _write_plan(self.schema)

    def describe(self) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{component_name(self.schema)}"}


def parse(schema: type[Schema[T]], raw: bytes | str) -> T:
    """Read a request body or a WebSocket message. Its size has been limited before. Raises InvalidBody."""
    if not raw and schema.empty_body:
        raw = b"{}"
    return load(schema, decode(raw))


def load(schema: type[Schema[T]], value: Any) -> T:
    """Check a JSON value that came out of ``wire.decode``. Raises InvalidBody."""
    try:
        return cast("T", _reader(schema)(value))
    except ValidationError:
        pass  # the reader stops at the first problem and knows no path: marshmallow finds them all
    try:
        return cast("T", instance(schema).load(value))
    except ValidationError as error:
        raise InvalidBody(flatten(error.messages)) from None


def dump(schema: type[Schema[T]], value: T) -> dict[str, Any]:
    """A dataclass as a JSON-able dict with camelCase names. None is left out, or null where the field allows none."""
    return _writer(schema)(value)


@functools.cache
def instance(schema: type[Schema[Any]]) -> Schema[Any]:
    """The one instance of a schema; making one costs more than using it."""
    return schema()


def component_name(schema: type[Schema[Any]]) -> str:
    """The schema's name in an OpenAPI document: its class's, without ``Schema``."""
    return schema.__name__.removesuffix("Schema")


def json_schema(schema: type[Schema[Any]]) -> dict[str, Any]:
    """The JSON Schema of a body, other schemas as ``$ref`` into ``#/components/schemas``."""
    declared = instance(schema)
    properties = {str(field.data_key): _describe(field) for field in declared.fields.values()}
    required = [str(field.data_key) for field in declared.load_fields.values() if field.required]
    shape: dict[str, Any] = {"type": "object", "properties": properties}
    if schema.value_type.__doc__ and not schema.value_type.__doc__.startswith(schema.value_type.__name__ + "("):
        shape["description"] = " ".join(schema.value_type.__doc__.replace("``", "`").split())
    return shape | ({"required": required} if required else {}) | _closed(declared.unknown)


def json_schemas(*schemas: type[Schema[Any]]) -> dict[str, dict[str, Any]]:
    """The JSON Schemas of bodies and of all that they refer to, by component name.

    Raises ValueError where two would have the same name.
    """
    found: dict[str, type[Schema[Any]]] = {}
    waiting = list(schemas)
    while waiting:
        schema = waiting.pop()
        if (known := found.setdefault(component_name(schema), schema)) is not schema:
            raise ValueError(f"{schema.__module__} and {known.__module__} both have a {schema.__name__}")
        described = [inner for field in instance(schema).fields.values() for inner in _nested(field)]
        waiting += [inner for inner in described if found.get(component_name(inner)) is not inner]
    return {name: json_schema(schema) for name, schema in sorted(found.items())}


def _describe(field: marshmallow.fields.Field[Any]) -> dict[str, Any]:
    declared = cast("StrictField[Any]", field)
    shape = declared.describe()
    if declared.allow_none or declared.null_is_absent:
        shape = {"anyOf": [shape, {"type": "null"}]}
    default = {"default": field.load_default} if isinstance(field.load_default, str | int) else {}
    return shape | default | dict(field.metadata)


def _closed(unknown: Any) -> dict[str, Any]:
    return {"additionalProperties": False} if unknown == RAISE else {}


def _nested(field: Any) -> list[type[Schema[Any]]]:
    inner = getattr(field, "item", field)
    return [inner.schema] if isinstance(inner, ObjectOf) else []


@functools.cache
def _reader(schema: type[Schema[Any]]) -> Reader[Any]:
    """Compile: a function that returns what ``load`` would, or raises a ValidationError that says nothing useful."""
    return NativeReader(_plan(schema), ValidationError)


def _plan(schema: type[Schema[Any]]) -> Plan:
    declared = instance(schema)
    loaded = cast("Mapping[str, StrictField[Any]]", declared.load_fields)
    fields = tuple((str(field.data_key), field.plan(), *_default(field), _null(field)) for field in loaded.values())
    slots = _slots(schema, tuple(loaded))
    build = schema.value_type if slots is not None else _builder(schema, tuple(loaded))
    frozen = slots is not None and schema.value_type.__dataclass_params__.frozen
    return "object", declared.unknown == RAISE, build, slots, frozen, fields


def _default(field: StrictField[Any]) -> tuple[bool, Any, bool]:
    """Whether there is one, which, and whether it is a function that makes it."""
    return (False, None, False) if field.required else (True, field.load_default, callable(field.load_default))


def _null(field: StrictField[Any]) -> str:
    return "absent" if field.null_is_absent else "none" if field.allow_none else "refused"


def _slots(schema: type[Schema[Any]], names: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Where the values go in an instance; None where making one is more than storing the values of its fields."""
    made, own = schema.value_type, vars(schema.value_type)
    plain = not _has_own_make(schema) and dataclasses.is_dataclass(made) and not hasattr(made, "__post_init__")
    if not plain or {(name, True) for name in names} != {
        (field.name, field.init) for field in dataclasses.fields(made)
    }:
        return None
    slots = tuple(own.get(name) for name in names)
    return slots if all(isinstance(slot, MemberDescriptorType) for slot in slots) else None


def _builder(schema: type[Schema[Any]], names: tuple[str, ...]) -> Callable[..., Any]:
    """Called with the values in the schema's order."""
    make = schema.make if _has_own_make(schema) else schema.value_type
    return lambda *values: make(**dict(zip(names, values, strict=True)))


def _has_own_make(schema: type[Schema[Any]]) -> bool:
    return schema.make.__func__ is not Schema.make.__func__  # type: ignore[attr-defined]  # a classmethod has one


@functools.cache
def _writer(schema: type[Schema[Any]]) -> Callable[[Any], dict[str, Any]]:
    """Compile: a function that returns what marshmallow's ``dump`` would."""
    return NativeWriter(_write_plan(schema))


def _write_plan(schema: type[Schema[Any]]) -> Plan:
    dumped = cast("Mapping[str, StrictField[Any]]", instance(schema).dump_fields)
    return "object", tuple(
        (str(field.data_key), field.attribute or name, field.write_plan(), field.allow_none)
        for name, field in dumped.items()
    )
