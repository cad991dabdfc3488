"""JSON text to values, strictly (RFC 8259): refuses what msgspec refuses, and wrong UTF-8 in parts that it skips.

Where a name comes twice in an object, the last one counts. Nesting deeper than Python's recursion limit is refused, in
skipped parts too (RFC 8259 §9). Knows no type of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from schemas.problem import refuse

T = TypeVar("T")

_anything: Final = msgspec.json.Decoder().decode


def decode(raw: bytes | str, read: Callable[[bytes], T]) -> T:
    """Read a JSON text by ``read``, msgspec's decoder of a type. The caller limits its size.

    NaN, infinities, numbers beyond a double, lone surrogates, wrong UTF-8, a byte order mark and endless nesting are
    refused. Raises InvalidBody where the text is no JSON, ``msgspec.ValidationError`` where it is not of the type.
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
    """Read any JSON object. Raises InvalidBody."""
    try:
        value = decode(raw, _anything)
    except msgspec.ValidationError as error:
        raise refuse(f"is not valid JSON: {error}") from None
    if type(value) is not dict:
        raise refuse("must be a JSON object")
    return value
