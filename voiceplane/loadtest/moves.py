"""A call's move into another room, as its parties live through it: when they were told, and when they heard again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Kill(NamedTuple):
    """A worker or node that was killed: when, by the event loop's clock in seconds and by the wall clock in
    nanoseconds."""

    at: float
    at_ns: int
    of: Literal["worker", "node"] = "worker"


@dataclass
class Move:
    """Moments are by the event loop's clock; None or empty is what the move did not come to.

    `gaps_ms` has for each party the time without sound: from its last packet in the old room to its first in the new
    one, by the kernel's stamps.
    """

    told_at: float  # when the second of both parties got `media_moved`
    kill: Kill | None  # the last one before, from which all is counted
    connected_at: float | None = None  # all four transports are up, and both consumers resumed
    talked_from: float | None = None  # just before the first packet in the new room
    heard_at: float | None = None  # when both parties have heard
    heard_ns: int | None = None  # the same by the kernel's stamp
    gaps_ms: list[float] = field(default_factory=list)

    @property
    def told_ms(self) -> float | None:
        """From the kill until both were told."""
        return self._since_kill_ms(self.told_at)

    @property
    def connected_ms(self) -> float | None:
        """From the kill until all transports were up."""
        return self._since_kill_ms(self.connected_at)

    @property
    def heard_ms(self) -> float | None:
        """From the kill until both heard again."""
        if self.kill is None or self.heard_ns is None:
            return None
        return (self.heard_ns - self.kill.at_ns) / 1e6

    def _since_kill_ms(self, at: float | None) -> float | None:
        return None if self.kill is None or at is None else (at - self.kill.at) * 1000


def last_before(kills: Sequence[Kill], at: float) -> Kill | None:
    return max((kill for kill in kills if kill.at <= at), default=None)
