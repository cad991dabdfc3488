"""The base of the bridge's values: frozen, hashable Structs that are quick to make, to compare and to find again.

Beyond a border of JSON their names are mediasoup's (``rtp_parameters`` is ``rtpParameters``); the bridge itself reads
and writes no JSON.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

REMEMBERED: Final = 256
"""How many results an ``lru_cache`` keeps of what is equal for all endpoints of one version: a service sees few
versions, and a hostile client can't make it keep more."""

T = TypeVar("T")


class Value(msgspec.Struct, frozen=True, gc=False, cache_hash=True, omit_defaults=True, rename="camel"):
    """A value of values: it can be no part of a cycle, so the collector need not know it.

    ``replace`` of ``msgspec.structs`` makes a changed copy. What is None is left out in JSON; what has another default
    is written (``written``), since mediasoup's clients look for it.
    """


PRINTABLE: Final = msgspec.Meta(
    pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$", extra={"form": "must not hold control characters"}
)
"""Of a text: tab and line feed may stand in it."""


def matching(pattern: str, form: str, portable: str = "") -> msgspec.Meta:
    """Of a text that matches as a whole. ``form`` says it in words, and ``portable`` in a pattern for its description
    where only Python reads the other one."""
    described = {"x-pattern": f"^{portable}$"} if portable else None
    return msgspec.Meta(pattern=rf"^{pattern}\Z", extra={"form": f"must be {form}"}, extra_json_schema=described)


def written(default: T) -> T:
    """A field's default that is written in JSON, too: ``omit_defaults`` leaves out what is given as such."""
    return msgspec.field(default_factory=lambda: default)
