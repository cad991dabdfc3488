"""Ids of objects in a worker. They are ours, so that an object can listen before the worker knows it."""

from __future__ import annotations

import os
from collections.abc import Iterator

DRAWN_AT_ONCE = 256
DIGITS = 32
VARIANTS = dict(zip("0123456789abcdef", 4 * "89ab", strict=True))  # the first digit of the fourth group


def uuids() -> Iterator[str]:
    """UUIDs without end, RFC 9562 version 4. The system is asked for the randomness of many at a time: for each alone,
    that would be most of what an id costs."""
    while True:
        drawn = os.urandom(DRAWN_AT_ONCE * DIGITS // 2).hex()
        for start in range(0, len(drawn), DIGITS):
            one = drawn[start : start + DIGITS]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{VARIANTS[one[16]]}{one[17:20]}-{one[20:]}"
