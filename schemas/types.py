"""The types that bodies are made of: texts, ids, numbers and times with their limits. Knows no body.

What ``Meta`` says in JSON Schema's terms is checked by msgspec, and published. Its ``extra`` is for messages: ``form``
completes the sentence "must be ..." about a text that does not match.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal

from msgspec import Meta

from worker_bridge.value import PRINTABLE, matching

UINT32_MAX: Final = 2**32 - 1
MAX_SAFE: Final = 2**53 - 1  # what JSON numbers hold exactly in every language (RFC 8259 §6)
MAX_PRICE: Final = 1_000_000_000  # points a minute
MAX_REASON: Final = 200  # characters
MAX_CURSOR: Final = 512  # characters
PAGE_LIMIT: Final = 200  # entries
SECONDS_KEPT: Final = 256  # as texts: most moments that are written are of the last few
UUID_PATTERN: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
VISIBLE: Final = (
    r"[^\s\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\uf8ff\ufeff\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f\U000f0000-\U0010ffff]"
)
"""A character of Unicode's categories L, M, N, P or S, or one that is not assigned yet: a newer Unicode may know it."""

Role = Literal["user", "otomo", "admin"]
PartyRole = Literal["user", "otomo"]
PointKind = Literal["paid", "bonus"]

Name = Annotated[
    str,
    Meta(min_length=1, max_length=128),
    matching(f"{VISIBLE}*", "of printable characters, and no spaces", r"\S*"),
]
"""An identifier from outside: 1 to 128 printable characters of any script, without spaces."""
CallId = Annotated[str, Meta(min_length=1, max_length=64), matching("[A-Za-z0-9_-]+", "made of A-Z a-z 0-9 _ -")]
_UUID: Final = Meta(extra_json_schema={"format": "uuid"})
Uuid = Annotated[str, Meta(min_length=36, max_length=36), matching(UUID_PATTERN, "a UUID"), _UUID]
"""The id of a transport, producer or consumer; ids are compared as text."""
Word = Annotated[str, Meta(min_length=1, max_length=64), PRINTABLE]
"""A short name that the server chose."""
Text = Annotated[str, Meta(min_length=1, max_length=255), PRINTABLE]
Prose = Annotated[str, Meta(min_length=1, max_length=1000), PRINTABLE]
Reason = Annotated[str, Meta(max_length=MAX_REASON), PRINTABLE]
Tag = Annotated[str, Meta(min_length=1, max_length=64), PRINTABLE]
Comment = Annotated[str, Meta(max_length=1000), PRINTABLE]
Cursor = Annotated[str, Meta(max_length=MAX_CURSOR), PRINTABLE]
MetadataKey = Annotated[
    str, Meta(min_length=1, max_length=64), matching("[A-Za-z0-9_.-]+", "made of A-Z a-z 0-9 _ . -")
]
MetadataText = Annotated[str, Meta(max_length=512), PRINTABLE]
Metadata = Annotated[dict[MetadataKey, MetadataText], Meta(max_length=16)]
"""What a back end or an app keeps with a call, for itself."""
Count = Annotated[int, Meta(ge=0, le=UINT32_MAX)]
Points = Annotated[int, Meta(ge=0, le=MAX_SAFE)]
Seq = Points
Price = Annotated[int, Meta(ge=0, le=MAX_PRICE)]
"""Points a minute; 0 makes a free call."""
Measure = Annotated[float, Meta(ge=0)]
Score = Annotated[int, Meta(ge=1, le=5)]
Mos = Annotated[float, Meta(ge=1)]
"""A mean opinion score (ITU-T P.800), at most 4.5."""
Port = Annotated[int, Meta(ge=0, le=65535)]
Timestamp = Annotated[
    str,
    matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "a UTC time such as 2025-01-31T12:00:00.000Z"),
    Meta(extra_json_schema={"format": "date-time"}),
]
"""A moment as ``iso`` writes it."""


def iso(at_ms: int) -> str:
    """Milliseconds since 1970, in the wire's form: ``2026-01-31T09:00:00.123Z``."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(SECONDS_KEPT)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().removesuffix("+00:00")


def iso_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def at_ms(stamp: str) -> int:
    """The milliseconds since 1970 that ``iso`` has written so. Raises ValueError for a day that there is not."""
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)
