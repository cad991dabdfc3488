"""The options of a load test, and what it refuses."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voiceplane.loadtest.errors import NotLocal

if TYPE_CHECKING:
    from schemas.tariff import Tariff

MOST_CALLS = 2000
MOST_PER_SECOND = 100.0
LONGEST_S = 3600.0
MOST_WITNESSES = 8
FRAMES_MS = (20, 40, 60)  # whole Opus frames: RFC 6716 §2.1.4


@dataclass(frozen=True, slots=True)
class Options:
    """``ramp`` is calls a second; ``duration_s`` counts from when all calls are there. ``price`` is in points a unit.

    ``unit_s`` is the length of the server's billing unit: what ought to have been charged is worked out from it.
    """

    base: str
    calls: int
    ramp: float
    duration_s: float
    price: int = 1
    unit_s: float = 60.0
    witnesses: int = 2
    frame_ms: int = FRAMES_MS[0]
    kill_every_s: float | None = None
    kill_node_every_s: float | None = None
    start_node_with: str | None = None  # a command that starts the node {name} again and returns
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def ramp_s(self) -> float:
        return self.calls / self.ramp

    @property
    def tariff(self) -> Tariff:
        """The calls' own, whatever the server's settings say."""
        from schemas.tariff import Tariff  # takes long to load, for who asks for help

        return Tariff(unit_seconds=self.unit_s, unit_points=self.price)

    @property
    def port(self) -> int:
        parts = urlsplit(self.base)
        return parts.port or (443 if parts.scheme == "https" else 80)


@cache
def loopback_address(host: str, what: str, family: socket.AddressFamily = socket.AF_UNSPEC) -> str:
    """The address of ``host``, a name or an address. Raises NotLocal where that is not this machine's loopback."""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)]
    except OSError:
        found = []
    if not found or not all(ipaddress.ip_address(one).is_loopback for one in found):
        raise NotLocal(
            f"{what} is at {host or 'nowhere'}, and a load test is for a server on this machine's loopback alone"
        )
    return found[0]


def require_local_base(base: str) -> None:
    """Raises NotLocal where the host of the URL ``base`` is not this machine's loopback."""
    loopback_address(urlsplit(base).hostname or "", "the server")
