"""Parts of bodies that many clients write alike: they are read once, and found again by their bytes.

A browser's capabilities and parameters are the same text in every call of one version, and most of the bytes of RTC-04
and RTC-05. A body with such parts is first read as its outline, in which they are still text. A part that is found
again was checked when it was first read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final, Generic, TypeVar, get_args

import msgspec
from msgspec import NODEFAULT, Raw, UnsetType, structs

from schemas.rtp import read_hook
from worker_bridge.rtp import Codecs, HeaderExtensions, RtpCapabilities

REPEATED: Final = (RtpCapabilities, Codecs, HeaderExtensions)
REMEMBERED: Final = 64  # texts of each part; a service sees few browser versions
MAX_REMEMBERED: Final = (
    16 * 1024
)  # bytes of one text; browsers' are up to 9 KB long, and longer ones are not remembered

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
Read = Callable[[Any], Any]


@cache
def reader_of(kind: Any) -> Callable[[bytes], Any]:
    """The function that reads a JSON text as ``kind``; it raises what msgspec's decoder does."""
    outline = _outline_of(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    if outline is None:
        return msgspec.json.Decoder(kind, dec_hook=read_hook).decode
    decode = msgspec.json.Decoder(outline.shape, dec_hook=read_hook).decode

    def read(text: bytes) -> msgspec.Struct:
        outlined = decode(text)
        try:
            return outline.fill(outlined)
        except ValueError as error:  # a rule between fields: msgspec's own decoder would raise the same
            raise msgspec.ValidationError(str(error)) from None

    return read


@dataclass(frozen=True, slots=True)
class _Outline(Generic[S]):
    """A Struct's outline: the same fields in the same order, some of which are still to be read."""

    kind: type[S]
    shape: type[msgspec.Struct]
    unread: tuple[tuple[int, type, Read], ...]
    """Places of the fields that are still to be read, the type that they have until then, and what reads them. A field
    that was left out has its default already."""

    def fill(self, outlined: msgspec.Struct) -> S:
        values = [*structs.astuple(outlined)]
        for place, left_as, read in self.unread:
            if type(values[place]) is left_as:
                values[place] = read(values[place])
        return self.kind(*values)


def _outline_of(kind: type[S]) -> _Outline[S] | None:
    """The outline of a Struct; None where it has no such parts."""
    fields, declared, unread = structs.fields(kind), [], []
    for place, one in enumerate(fields):
        part, is_optional = _part(one.type)
        left_as, read = _left(part) or (one.type, None)
        if read is not None:
            unread.append((place, left_as, read))
            left_as = left_as | UnsetType if is_optional else left_as
        default = one.default if one.default_factory is NODEFAULT else one.default_factory()
        declared.append((one.name, left_as, default) if default is not NODEFAULT else (one.name, left_as))
    if not unread:
        return None
    shape = msgspec.defstruct(
        kind.__name__,
        declared,
        rename={one.name: one.encode_name for one in fields},
        forbid_unknown_fields=kind.__struct_config__.forbid_unknown_fields,
    )
    return _Outline(kind, shape, tuple(unread))


def _part(declared: Any) -> tuple[Any, bool]:
    """The type of a field that may be left out, and whether it may."""
    if UnsetType not in get_args(declared):
        return declared, False
    members = [one for one in get_args(declared) if one is not UnsetType]
    return (members[0], True) if len(members) == 1 else (declared, False)


def _left(part: Any) -> tuple[Any, Read] | None:
    """The type that a part has in the outline, and the function that reads it; None where the part is read at once."""
    if part in REPEATED:
        return Raw, _remembering(msgspec.json.Decoder(part, dec_hook=read_hook).decode)
    if isinstance(part, type) and issubclass(part, msgspec.Struct) and (outline := _outline_of(part)) is not None:
        return outline.shape, outline.fill
    return None


def _remembering(decode: Callable[[bytes], T]) -> Callable[[Raw], T]:
    found = lru_cache(REMEMBERED)(decode)

    def read(raw: Raw) -> T:
        text = bytes(raw)
        return found(text) if len(text) <= MAX_REMEMBERED else decode(text)

    return read
