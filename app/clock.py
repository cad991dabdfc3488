"""Two clocks read at once: the monotonic one for what is due and charged, UTC for what people read.

A wall clock that jumps changes what is displayed, but no deadline and no charge.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from msgspec import Struct

from schemas.types import iso

WORKER_CLOCK_SKEW_S = 5.0  # a worker's time stamp that is further off than this is not of our monotonic clock


class Moment(Struct, frozen=True, gc=False):
    """``monotonic`` in seconds, only comparable within this run; ``utc_ms`` in milliseconds since 1970."""

    monotonic: float
    utc_ms: int

    @property
    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.utc_ms / 1000, UTC)

    @property
    def iso(self) -> str:
        """ISO 8601 UTC with milliseconds and Z."""
        return iso(self.utc_ms)


def now() -> Moment:
    return Moment(time.monotonic(), time.time_ns() // 1_000_000)


def at_worker_time(stamp_ms: int) -> Moment:
    """The moment of a worker's time stamp, in milliseconds of the same monotonic clock that we read."""
    present = now()
    ago = present.monotonic - stamp_ms / 1000
    if not 0 <= ago <= WORKER_CLOCK_SKEW_S:
        return present
    return Moment(present.monotonic - ago, present.utc_ms - round(ago * 1000))


def shifted(moment: Moment, monotonic: float) -> Moment:
    """The moment at another monotonic time, in seconds."""
    return Moment(monotonic, moment.utc_ms - round((moment.monotonic - monotonic) * 1000))
