"""Bytes to JSON objects, strictly: what orjson refuses, plus duplicate keys and deep nesting. Knows no schema."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from schemas.problem import refuse

MAX_DEPTH: Final = 32  # levels; the deepest body of ours has 6, the rest is room for fields that browsers add


def decode(raw: bytes | str) -> dict[str, Any]:
    """Read one JSON object (RFC 8259). The limit on its size is the caller's.

    NaN, infinities, lone surrogates, wrong UTF-8, a byte order mark, more than ``MAX_DEPTH`` levels and a name that
    comes twice in one object are refused. Raises InvalidBody.
    """
    try:
        encoded = raw.encode() if isinstance(raw, str) else raw
        value = orjson.loads(encoded)
    except UnicodeEncodeError:
        raise refuse("is not valid JSON: lone surrogate") from None
    except orjson.JSONDecodeError as error:
        raise refuse(f"is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    if type(value) is not dict:
        raise refuse("must be a JSON object")
    # No value can be nested deeper than it has opening brackets, and few have so many.
    if encoded.count(b"{") + encoded.count(b"[") > MAX_DEPTH and _too_deep(value):
        raise refuse(f"is nested deeper than {MAX_DEPTH} levels")
    # Browsers write JSON without spaces, as orjson does; what comes out as it went in has lost no name on the way.
    if orjson.dumps(value) != encoded:
        _refuse_duplicates(encoded)
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _refuse_duplicates(encoded: bytes) -> None:
    # Numbers stay text: neither their value nor Python's limit on the digits of an int matters here.
    json.loads(encoded.decode(), object_pairs_hook=_unique, parse_int=str, parse_float=str)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise refuse("is given twice in one object", name)
        names.add(name)
