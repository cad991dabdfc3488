"""JSON text to values, strictly (RFC 8259): what msgspec refuses, plus wrong UTF-8 in what it skips.

Of a name that comes twice in one object the last counts. Nesting that is deeper than Python's recursion limit is
refused, also in what nobody reads (RFC 8259 §9). Knows no type of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from schemas.problem import refuse

T = TypeVar("T")

_anything: Final = msgspec.json.Decoder().decode


def decode(raw: bytes | str, read: Callable[[bytes], T]) -> T:
    """Read a JSON text with what msgspec's decoder of a type does. The limit on its size is the caller's.

    NaN, infinities, numbers beyond a double, lone surrogates, wrong UTF-8, a byte order mark and nesting without end
    are refused. Raises InvalidBody for what is no such text, and ``msgspec.ValidationError`` for what is not of the
    type.
    """
    try:
        text = raw.encode() if isinstance(raw, str) else raw
        if not text.isascii():
            text.decode()
        return read(text)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refuse(f"is not valid JSON: {error}") from None


def decode_object(raw: bytes | str) -> dict[str, Any]:
    """Read one JSON object, whatever is in it. Raises InvalidBody."""
    try:
        value = decode(raw, _anything)
    except msgspec.ValidationError as error:
        raise refuse(f"is not valid JSON: {error}") from None
    if type(value) is not dict:
        raise refuse("must be a JSON object")
    return value
