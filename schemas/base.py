"""The bases of every body, event and answer, and the ways to use one: read it from bytes or a JSON value, write it.

A body is declared once, as a frozen Struct whose types hold its limits. msgspec reads it from bytes and writes it. What
msgspec refuses goes through the marshmallow schema that is derived from the same Struct, and whose word is final: it
finds every problem, and takes ``111.0`` for a whole number. Knows no body, and nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ClassVar, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from schemas.marshmallow import judged
from schemas.repeated import reader_of
from schemas.rtp import read_hook
from schemas.strict_json import decode, decode_object

T = TypeVar("T")


class Body(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What clients send. Unknown fields are refused, and so is null; a field that may be left out has a default or is
    ``UNSET``, and is left out where it says nothing else: a server of the release before does not know it yet."""

    empty_body: ClassVar[bool] = False  # whether a missing body counts as {}


class Answer(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """What the server sends. Every field is written, except those that are ``UNSET``."""


def parse(kind: type[T], raw: bytes | str) -> T:
    """Read a request body or a WebSocket message, whose size the caller has limited. Raises InvalidBody."""
    if not raw and getattr(kind, "empty_body", False):
        raw = b"{}"
    try:
        read: Callable[[bytes], T] = reader_of(cast("Hashable", kind))
        return decode(raw, read)
    except msgspec.ValidationError:
        return judged(kind, decode_object(raw))


def load(kind: type[T], value: Any) -> T:
    """Check a JSON value that is decoded already. Raises InvalidBody."""
    try:
        return msgspec.convert(value, kind, dec_hook=read_hook)
    except msgspec.ValidationError:
        return judged(kind, value)


def encode(value: Any) -> bytes:
    """The JSON text of a Struct, or of any value that JSON has."""
    return _ENCODER.encode(value)


def dump(value: Any) -> Any:
    """What ``encode`` writes, as dicts and lists."""
    return msgspec.json.decode(encode(value))


def given(value: T | UnsetType) -> T | None:
    """The value of a field; None where it was left out."""
    return None if value is UNSET else value


def camel_case(name: str) -> str:
    """The wire's spelling of a name: ``rtpParameters`` of ``rtp_parameters``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_ENCODER = msgspec.json.Encoder()
