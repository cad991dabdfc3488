"""Bodies whose parts many clients write alike: such a part is read once, and found again by its bytes.

What a browser can send and receive is the same text in every call of one version of it, and most of what RTC-04 and
RTC-05 bring. A body that has such parts is read as its outline, in which they are still text. Whatever is found again
was checked when it was read first.
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
REMEMBERED: Final = 64  # texts of each; a service sees few browser versions
MAX_REMEMBERED: Final = 16 * 1024  # bytes of one; the longest of a browser has 9 KB, and a stranger's needs no memory

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
Read = Callable[[Any], Any]


@cache
def reader_of(kind: Any) -> Callable[[bytes], Any]:
    """What reads a JSON text as ``kind``. Raises what msgspec's decoder does."""
    outline = _outline_of(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    if outline is None:
        return msgspec.json.Decoder(kind, dec_hook=read_hook).decode
    decode = msgspec.json.Decoder(outline.shape, dec_hook=read_hook).decode

    def read(text: bytes) -> msgspec.Struct:
        outlined = decode(text)
        try:
            return outline.fill(outlined)
        except ValueError as error:  # a rule between fields, which msgspec tells so where it fills a Struct itself
            raise msgspec.ValidationError(str(error)) from None

    return read


@dataclass(frozen=True, slots=True)
class _Outline(Generic[S]):
    """Of a Struct: the same fields in the same order, some of which are still to be read."""

    kind: type[S]
    shape: type[msgspec.Struct]
    unread: tuple[tuple[int, type, Read], ...]
    """Places of fields, as what they were left, and what reads them; one that was left out has its default."""

    def fill(self, outlined: msgspec.Struct) -> S:
        values = [*structs.astuple(outlined)]
        for place, left_as, read in self.unread:
            if type(values[place]) is left_as:
                values[place] = read(values[place])
        return self.kind(*values)


def _outline_of(kind: type[S]) -> _Outline[S] | None:
    """None where nothing in it is repeated."""
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
    """As what a part is left at first, and what reads it then."""
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
