"""The bases of every body, event and answer, and the ways to use one: read it from bytes or a JSON value, write it.

A body is declared once, as a frozen Struct whose types hold its limits. msgspec reads it from bytes and writes it; what
msgspec refuses goes through the marshmallow schema that is derived from the same Struct, whose verdict and list of
problems are the ones that count: it finds every problem, and takes ``111.0`` for a whole number. Knows no body, and
nothing of HTTP.
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


class Body(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """What clients send: unknown fields are refused, and so is null. What may be left out has a default, or is
    ``UNSET``."""

    empty_body: ClassVar[bool] = False  # whether no body at all counts as {}


class Answer(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """What the server tells. Every field is written, but those that are ``UNSET``."""


def parse(kind: type[T], raw: bytes | str) -> T:
    """Read a request body or a WebSocket message. Its size has been limited before. Raises InvalidBody."""
    if not raw and getattr(kind, "empty_body", False):
        raw = b"{}"
    try:
        read: Callable[[bytes], T] = reader_of(cast("Hashable", kind))
        return decode(raw, read)
    except msgspec.ValidationError:
        return judged(kind, decode_object(raw))


def load(kind: type[T], value: Any) -> T:
    """Check a JSON value that was decoded before. Raises InvalidBody."""
    try:
        return msgspec.convert(value, kind, dec_hook=read_hook)
    except msgspec.ValidationError:
        return judged(kind, value)


def encode(value: Any) -> bytes:
    """The JSON text of a Struct, or of anything that is made of what JSON has."""
    return _ENCODER.encode(value)


def dump(value: Any) -> Any:
    """The same as ``encode``, as dicts and lists."""
    return msgspec.json.decode(encode(value))


def given(value: T | UnsetType) -> T | None:
    """What was sent, or None."""
    return None if value is UNSET else value


def camel_case(name: str) -> str:
    """``rtp_parameters`` as it is spelled on the wire: ``rtpParameters``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_ENCODER = msgspec.json.Encoder()
