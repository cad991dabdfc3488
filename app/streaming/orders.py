"""What the node tells the process that decodes and sends: one frame of bytes each, on its standard input. What comes
back is a line of JSON each second.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import msgspec

from schemas.types import PartyRole

HEADER = struct.Struct("!IBId")  # bytes that follow on it, kind, leg, monotonic seconds


class Kind(IntEnum):
    CONFIGURE = 1
    OPEN = 2
    PACKET = 3
    CLOSE = 4


class Configuration(msgspec.Struct, frozen=True):
    """Where streams go, and the bearer token that is shown there, if any."""

    url: str
    token: str | None


class LegOpened(msgspec.Struct, frozen=True):
    """Whose sound a leg is. ``at_ms`` is when its first packet came, in UTC milliseconds."""

    call_id: str
    role: PartyRole
    user_id: str
    otomo_id: str
    at_ms: int


class LegClosed(msgspec.Struct, frozen=True):
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What has happened since the last one, but for ``connected``, the connections that are open."""

    connected: int = 0
    sent: int = 0  # frames
    dropped: int = 0  # frames
    opened: int = 0  # connections
    failed: int = 0  # attempts at one, and connections that broke
    trouble: str | None = None  # why the last of them failed


class Order(NamedTuple):
    kind: int
    leg: int
    at: float
    content: bytes


def packed(kind: Kind, leg: int, at: float, content: bytes) -> bytes:
    return HEADER.pack(len(content), kind, leg, at) + content


class Orders:
    """Makes orders of bytes, however they are cut."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[Order]:
        self._begun += data
        start = 0
        while len(self._begun) - start >= HEADER.size:
            size, kind, leg, at = HEADER.unpack_from(self._begun, start)
            end = start + HEADER.size + size
            if len(self._begun) < end:
                break
            yield Order(kind, leg, at, bytes(self._begun[start + HEADER.size : end]))
            start = end
        del self._begun[:start]
