"""JSON Schema 2020-12 of all bodies, for the OpenAPI and the AsyncAPI document. Knows no document.

msgspec describes the Structs by their types. What it can't know is added here: that an answer has all its fields, that
inside WebRTC's dictionaries null counts as left out, and a portable form of patterns that only Python reads.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import inspect

from schemas.base import Answer
from schemas.rtp import ParameterMap

Json = dict[str, Any]


def described(kind: Any) -> Json:
    """The JSON Schema of a type without references."""
    return cast("Json", _portable(msgspec.json.schema(kind)))


def components(*kinds: type[msgspec.Struct]) -> dict[str, Json]:
    """The JSON Schemas of bodies and of all that they refer to, by component name; each refers to others in
    ``#/components/schemas``. Raises ValueError where two would have the same name."""
    structs: dict[str, type[msgspec.Struct]] = {}
    for kind in _with_inner(kinds):
        if (known := structs.setdefault(kind.__name__, kind)) is not kind:
            raise ValueError(f"{kind.__module__} and {known.__module__} both have a {kind.__name__}")
    _, found = msgspec.json.schema_components(
        structs.values(), schema_hook=_described_hook, ref_template="#/components/schemas/{name}"
    )
    for name, kind in structs.items():
        _complete(kind, found[name])
    return {name: _portable(shape) for name, shape in sorted(found.items())}


def _described_hook(_kind: type) -> Json:
    """Describes the one type that msgspec does not know: fmtp parameters."""
    return msgspec.json.schema(ParameterMap)


def _complete(kind: type[msgspec.Struct], shape: Json) -> None:
    for field in msgspec.structs.fields(kind):
        inner = shape["properties"][field.encode_name]
        if issubclass(kind, Answer):
            inner.pop("default", None)
        elif not kind.__struct_config__.forbid_unknown_fields and not field.required:
            shape["properties"][field.encode_name] = _or_null(inner, field)
    if issubclass(kind, Answer):
        always = [one.encode_name for one in msgspec.structs.fields(kind) if one.default is not msgspec.UNSET]
        shape["required"] = always


def _or_null(shape: Json, field: msgspec.structs.FieldInfo) -> Json:
    if {"type": "null"} in shape.get("anyOf", ()):
        return shape
    default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None
    told = {"default": default} if isinstance(default, str | bool) else {}
    return {"anyOf": [shape, {"type": "null"}], **told}


def _portable(value: Any) -> Any:
    """The schema with patterns that every language reads, and texts without reStructuredText."""
    if isinstance(value, list):
        return [_portable(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {name: _portable(inner) for name, inner in value.items()}
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].replace("``", "`").split())
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found.pop("x-pattern", found["pattern"].replace(r"\Z", "$"))
    return found


def _with_inner(kinds: tuple[type[msgspec.Struct], ...]) -> list[type[msgspec.Struct]]:
    """These Structs, and those inside them, each once."""
    found: dict[type[msgspec.Struct], None] = {}

    def walk(info: Any) -> None:
        if isinstance(info, inspect.StructType):
            found[info.cls] = None
        for inner in _parts(info):
            walk(inner)

    for info in inspect.multi_type_info(kinds):
        walk(info)
    return list(found)


def _parts(info: Any) -> tuple[Any, ...]:
    match info:
        case inspect.StructType():
            return tuple(field.type for field in info.fields)
        case inspect.UnionType():
            return info.types
        case inspect.VarTupleType():
            return (info.item_type,)
        case inspect.Metadata():
            return (info.type,)
    return ()
