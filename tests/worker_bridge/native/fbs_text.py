"""The worker's schema as its own text tells it, and random messages of it.

Reads the .fbs files and never the .bfbs that the codec is driven by: what the codec makes of a message is compared with
what this says that it must be.
"""

from __future__ import annotations

import random
import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = "FBS.Message.Message"
INTS = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
SYNONYMS = {"byte": "int8", "ubyte": "uint8", "float": "float32", "double": "float64"}
REALS = {"float32": "f", "float64": "d"}
ALPHABETS = ["abcdef0123-", 'aé€\U0001f600 \n"', "אב中"]


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    vector: bool
    default: str | None
    required: bool


@dataclass(frozen=True)
class Schema:
    """``enums``: values by name. ``unions``: table by member, in the order of their tags."""

    enums: dict[str, dict[str, int]]
    unions: dict[str, dict[str, str]]
    tables: dict[str, list[Field]]

    def default(self, field: Field) -> Any:
        """What an absent field is decoded as."""
        if field.vector or field.type == "string" or field.type in self.tables or field.type in self.unions:
            return None
        if field.default == "null":
            return None
        if field.type in self.enums:
            return field.default or next(name for name, value in self.enums[field.type].items() if value == 0)
        if field.type == "bool":
            return field.default == "true"
        return float(field.default or 0) if field.type in REALS else int(field.default or 0)

    @cached_property
    def heights(self) -> dict[str, int]:
        """By table, how many tables the smallest one of it holds within each other."""
        heights: dict[str, int] = {}
        while True:
            before = dict(heights)
            for table, fields in self.tables.items():
                needs = [self._need(field, heights) for field in fields if field.required and not field.vector]
                if None not in needs:
                    heights[table] = 1 + max((need for need in needs if need is not None), default=0)
            if heights == before:
                return heights

    def _need(self, field: Field, heights: dict[str, int]) -> int | None:
        if field.type in self.unions:
            return min((heights[table] for table in self.unions[field.type].values() if table in heights), default=None)
        return heights.get(field.type) if field.type in self.tables else 0


def read_schema(folder: Path) -> Schema:
    enums: dict[str, dict[str, int]] = {}
    unions: dict[str, dict[str, tuple[str, str]]] = {}
    tables: dict[str, tuple[str, list[Field]]] = {}
    for path in sorted(folder.glob("*.fbs")):
        text = re.sub(r"//[^\n]*", "", path.read_text())
        namespace = re.findall(r"namespace\s+([\w.]+)\s*;", text)[0]
        for kind, name, body in re.findall(r"\b(enum|union|table)\s+(\w+)(?:\s*:\s*\w+)?\s*\{(.*?)\}", text, re.S):
            full = f"{namespace}.{name}"
            if kind == "enum":
                enums[full] = _read_enum(body)
            elif kind == "union":
                members = [item.partition(":") for item in _items(body)]
                unions[full] = {key.strip(): (table.strip() or key.strip(), namespace) for key, _, table in members}
            else:
                tables[full] = (namespace, _read_fields(body))
    known = {*enums, *unions, *tables}

    def resolve(name: str, namespace: str) -> str:
        return f"{namespace}.{name}" if f"{namespace}.{name}" in known else SYNONYMS.get(name, name)

    return Schema(
        enums,
        {full: {key: resolve(*table) for key, table in members.items()} for full, members in unions.items()},
        {
            full: [Field(f.name, resolve(f.type, space), f.vector, f.default, f.required) for f in fields]
            for full, (space, fields) in tables.items()
        },
    )


def _items(body: str) -> list[str]:
    return [item.strip() for item in body.split(",") if item.strip()]


def _read_enum(body: str) -> dict[str, int]:
    values: dict[str, int] = {}
    following = 0
    for item in _items(body):
        name, _, value = item.partition("=")
        values[name.strip()] = int(value) if value else following
        following = values[name.strip()] + 1
    return values


def _read_fields(body: str) -> list[Field]:
    found = re.findall(r"(\w+)\s*:\s*([\w.\[\]]+)\s*(?:=\s*([\w.]+))?\s*(\(.*?\))?\s*;", body)
    return [Field(n, t.strip("[]"), t.startswith("["), d or None, "required" in a) for n, t, d, a in found]


class Generator:
    """Random messages. Each comes as a pair: what to encode, and what must come out of decoding that."""

    def __init__(self, schema: Schema, seed: int) -> None:
        self.schema = schema
        self._random = random.Random(seed)
        self._heights = schema.heights

    def _string(self) -> str:
        alphabet = self._random.choice(ALPHABETS)
        return "".join(self._random.choice(alphabet) for _ in range(self._random.choice([0, 1, 3, 4, 7, 8, 36])))

    def _scalar(self, kind: str) -> tuple[Any, Any]:
        choose = self._random.choice
        if kind in self.schema.enums:
            name = choose(list(self.schema.enums[kind]))
            return name, name
        if kind == "bool":
            truth = choose([True, False])
            return truth, truth
        if kind in REALS:
            value = choose([0.0, -0.0, 1.5, float("inf"), self._random.uniform(-1e6, 1e6), 3])
            return value, struct.unpack(REALS[kind], struct.pack(REALS[kind], value))[0]
        low, high = INTS[kind]
        number = choose([low, high, 0, 1, self._random.randint(low, high)])
        return number, number

    def _value(self, kind: str, depth: int) -> tuple[Any, Any]:
        if kind == "string":
            text = self._string()
            return text, text
        return self.table(kind, depth) if kind in self.schema.tables else self._scalar(kind)

    def _vector(self, kind: str, depth: int) -> tuple[Any, Any]:
        count = self._random.choice([0, 1, 2, 3, 5] if depth > 0 else [0, 1])
        if self._heights.get(kind, 0) > depth:
            count = 0
        if kind == "uint8":
            octets = self._random.randbytes(count * 7)
            return self._random.choice([octets, bytearray(octets), memoryview(octets)]), octets
        pairs = [self._value(kind, depth) for _ in range(count)]
        given = [pair[0] for pair in pairs]
        return (tuple(given) if self._random.random() < 0.2 else given), [pair[1] for pair in pairs]

    def _union(self, field: Field, depth: int, given: dict[str, Any], expected: dict[str, Any]) -> None:
        members = self.schema.unions[field.type]
        fitting = [name for name, table in members.items() if self._heights[table] <= max(depth - 1, 0)]
        if not fitting and field.required:
            fitting = [min(members, key=lambda name: self._heights[members[name]])]
        if not fitting or (not field.required and self._random.random() < 0.2):
            if self._random.random() < 0.3:
                given[f"{field.name}_type"] = self._random.choice([None, "NONE"])
            if self._random.random() < 0.3:
                given[field.name] = None
            return
        name = self._random.choice(fitting)
        given[f"{field.name}_type"] = expected[f"{field.name}_type"] = name
        given[field.name], expected[field.name] = self.table(members[name], depth - 1)

    def table(self, table: str, depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A random table of that name with, where the schema lets it, at most ``depth`` tables within each other."""
        given: dict[str, Any] = {}
        expected: dict[str, Any] = {}
        fields = self.schema.tables[table]
        for field in fields:
            if field.type in self.schema.unions:
                expected[f"{field.name}_type"] = None
            expected[field.name] = self.schema.default(field)
        for field in self._random.sample(fields, len(fields)):
            if field.type in self.schema.unions:
                self._union(field, depth, given, expected)
                continue
            heavy = not field.vector and self._heights.get(field.type, 0) > depth - 1
            if not field.required and (heavy or self._random.random() < 0.35):
                if expected[field.name] is None and self._random.random() < 0.4:
                    given[field.name] = None
                continue
            make = self._vector if field.vector else self._value
            given[field.name], expected[field.name] = make(field.type, depth - 1)
        return given, expected
