"""Checks of single values, each refusing with the path of the field as JSON spells it: ``codecs.0.payloadType``.

Knows no ORTC: what a value means, and so its limits, is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from worker_bridge.errors import InvalidParameters

UINT8_MAX: Final = 2**8 - 1
UINT16_MAX: Final = 2**16 - 1
UINT32_MAX: Final = 2**32 - 1
INT32_MAX: Final = 2**31 - 1
TEXT_LIMIT: Final = 1024  # characters of one string
SHORT_TEXT_LIMIT: Final = 255  # bytes: an extension element (RFC 8285 §4.3), an SDES item (RFC 3550 §6.5)
BYTES_LIKE: Final = (bytes, bytearray, memoryview)
SEQUENCES: Final = (tuple, list)
SHOWN_LIMIT: Final = 64  # characters of a refused value that an error repeats


def instance(path: str, value: object, kind: type) -> None:
    """Refuses what is no ``kind``."""
    if not isinstance(value, kind):
        refuse(path, f"expected {kind.__name__}, got {type(value).__name__}")


def sequence(path: str, value: object) -> None:
    """Refuses what is neither a tuple nor a list."""
    if not isinstance(value, SEQUENCES):
        refuse(path, f"expected a tuple, got {type(value).__name__}")


def items(path: str, value: object) -> list[Any]:
    """What a tuple, a list or the like has in it. Neither text nor a dict is a sequence of anything."""
    if isinstance(value, SEQUENCES):
        return list(value)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        refuse(path, f"expected a tuple or a list, got {type(value).__name__}")
    return list(value)


def integer(path: str, value: int, low: int, high: int) -> int:
    """``value``, from ``low`` to ``high``. Neither a boolean nor a float is an integer."""
    if type(value) is not int or not low <= value <= high:
        refuse(path, f"{show(value)} is no integer from {low} to {high}")
    return value


def text(path: str, value: str) -> str:
    """``value``, of 1 to ``TEXT_LIMIT`` characters, none of them a NUL or half a surrogate pair."""
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LIMIT:
        refuse(path, f"must be a string of 1 to {TEXT_LIMIT} characters")
    if "\0" in value or not (value.isascii() or _is_unicode(value)):
        refuse(path, f"{show(value)} contains what UTF-8 or C strings can't hold")
    return value


def short_text(path: str, value: str) -> str:
    """``value``, a text that fits one octet of length."""
    if type(value) is str and 0 < len(value) <= SHORT_TEXT_LIMIT and value.isascii() and "\0" not in value:
        return value  # as nearly all are
    text(path, value)
    if len(value if value.isascii() else value.encode()) > SHORT_TEXT_LIMIT:
        refuse(path, f"longer than {SHORT_TEXT_LIMIT} bytes")
    return value


def encoded(path: str, value: str) -> bytes:
    """``value`` in UTF-8, which has no half of a surrogate pair."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        refuse(path, f"{show(value)} contains what UTF-8 can't hold")


def octets(path: str, value: bytes | bytearray | memoryview, limit: int) -> int:
    """How many bytes ``value`` has: ``limit`` at most."""
    if not isinstance(value, BYTES_LIKE):
        refuse(path, f"expected bytes, got {type(value).__name__}")
    size = value.nbytes if isinstance(value, memoryview) else len(value)
    if size > limit:
        refuse(path, f"{size} bytes are more than {limit}")
    return size


def _is_unicode(value: str) -> bool:
    """Whether there is no lone surrogate, which JSON can smuggle into a string and UTF-8 can't hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def show(value: object) -> str:
    """A value for a message: short, and of plain characters whatever it holds."""
    if isinstance(value, int) and value.bit_length() > SHOWN_LIMIT:
        return "an integer of more than 64 bits"  # Python refuses to print the largest ones
    shown = ascii(value)
    return shown if len(shown) <= SHOWN_LIMIT else f"{shown[:SHOWN_LIMIT]}..."


def refuse(path: str, problem: str) -> NoReturn:
    """Raise ``InvalidParameters``."""
    raise InvalidParameters(f"{path}: {problem}")
