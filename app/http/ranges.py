"""Parts of an answer (RFC 9110 §14): which bytes a request asks for. Several ranges at once are answered with
everything, which §14.2 leaves to the server."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from app.errors import RangeNotSatisfiable

BYTES: Final = re.compile(r"bytes=[ \t]*(?P<first>\d*)-(?P<last>\d*)[ \t]*", re.IGNORECASE | re.ASCII)


class Span(NamedTuple):
    """From ``begin`` up to ``end``, in bytes."""

    begin: int
    end: int


def asked_range(header: str | None, size: int) -> Span | None:
    """What a ``Range`` header asks for of so many bytes; None for all of them: without one, and where it is none that
    we know (§14.2). Raises RangeNotSatisfiable where there is nothing of it (§15.5.17)."""
    found = None if header is None else BYTES.fullmatch(header)
    if found is None:
        return None
    first, last = found["first"], found["last"]
    if not first:
        if not last:
            return None
        if int(last) == 0 or size == 0:
            raise RangeNotSatisfiable(size)
        return Span(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None  # invalid (§14.1.1)
    if int(first) >= size:
        raise RangeNotSatisfiable(size)
    return Span(int(first), min(int(last) + 1, size) if last else size)
