"""JSON text to values, strictly (RFC 8259): what msgspec refuses, plus deep nesting, and wrong UTF-8 in what it skips.

Of a name that comes twice in one object the last counts. Knows no type of ours.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from schemas.problem import refuse

T = TypeVar("T")

MAX_DEPTH: Final = 32  # levels; the deepest body of ours has 6, the rest is room for fields that browsers add

_ANYTHING: Final = msgspec.json.Decoder()


def decode(raw: bytes | str, decoder: msgspec.json.Decoder[T]) -> T:
    """Read a JSON text as the decoder's type. The limit on its size is the caller's.

    NaN, infinities, numbers beyond a double, lone surrogates, wrong UTF-8, a byte order mark and more than
    ``MAX_DEPTH`` levels are refused. Raises InvalidBody for what is no such text, and ``msgspec.ValidationError`` for
    what is not of the type.
    """
    try:
        text = raw.encode() if isinstance(raw, str) else raw
        if not text.isascii():
            text.decode()
        # No value can be nested deeper than it has opening brackets, and few have so many.
        if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _too_deep(_ANYTHING.decode(text)):
            raise refuse(f"is nested deeper than {MAX_DEPTH} levels")
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refuse(f"is not valid JSON: {error}") from None


def decode_object(raw: bytes | str) -> dict[str, Any]:
    """Read one JSON object, whatever is in it. Raises InvalidBody."""
    try:
        value = decode(raw, _ANYTHING)
    except msgspec.ValidationError as error:
        raise refuse(f"is not valid JSON: {error}") from None
    if type(value) is not dict:
        raise refuse("must be a JSON object")
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
