"""Good bodies made wrong, one place at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec

Path = tuple[str | int, ...]

MARK = "\N{SNOWMAN}"

WRONG: dict[type, tuple[Any, ...]] = {
    str: (True, 0, 1.5, [], {}, ["x"], {"x": "x"}, "x" * 5000, "a\0b", "\x1b[31m", "\x7f"),
    int: (True, False, "1", 1.5, 0.5, [], {}, -1, 2**32, 2**53, 2**63, 2**64, 1e300, 10**30),
    bool: (0, 1, "true", "", [], {}, 1.0),
    list: (True, 0, "x", {}, {"0": 1}, [[]], [None], [1], [[[[[[]]]]]]),
    dict: (True, 0, "x", "{}", [], [{}], [["a", 1]]),
}
"""What can never stand where a value of that type belongs."""

NO_JSON = ("NaN", "-Infinity", "1e999", '"\\ud800"', '"\\udfff\\ud800"', '"\n"', "'x'", "01", "[" * 100 + "]" * 100)
"""Texts of values that are no JSON of ours, at any place."""

NO_OBJECTS = (
    b" ", b"null", b"[]", b'"x"', b"1", b"true", b"{", b"{}}", b"{}{}", b"\0", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
    b"[" * 60_000, b'{"a":' * 10_000, b"callId=x&direction=send", b"<?xml version='1.0'?>",
)  # fmt: skip
"""Bodies that are no JSON object at all."""


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a body but the body itself."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def at(body: Any, path: Path) -> Any:
    for key in path:
        body = body[key]
    return body


def replaced(body: Any, path: Path, value: Any) -> Any:
    changed = copy.deepcopy(body)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def removed(body: Any, path: Path) -> Any:
    changed = copy.deepcopy(body)
    del at(changed, path[:-1])[path[-1]]
    return changed


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def is_parameter(path: Path) -> bool:
    """Codec parameters are of no fixed type."""
    return len(path) > 1 and path[-2] == "parameters"


def of_wrong_types(body: Any) -> Iterator[tuple[Path, Any]]:
    """(place, body) of every place with every value that can't be right there."""
    for path in places(body):
        if is_parameter(path):
            wrong: tuple[Any, ...] = (True, [], {}, "x" * 5000, "a\0b", 2**40)
        else:
            wrong = WRONG[type(at(body, path))]
        for value in wrong:
            yield path, replaced(body, path, value)


def of_no_json(body: Any) -> Iterator[bytes]:
    """The body with a text that is no JSON of ours at every place."""
    for path in places(body):
        marked = msgspec.json.encode(replaced(body, path, MARK))
        for text in NO_JSON:
            yield marked.replace(msgspec.json.encode(MARK), text.encode())
