"""How often one user may make requests: a token bucket for each. Knows no HTTP and no roles.

A bucket is kept as one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371):
a request moves that time on by one interval, and is refused where it would lie further ahead than a whole bucket.
A bucket whose time has passed is full, as that of a new user is, and can be dropped.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from app.errors import RateLimited

BURST = 2  # seconds: the requests of so long may come at once
MAX_BUCKETS = 65536  # users; beyond it the longest idle one starts afresh


class RateLimiter:
    """``rate`` requests a second for each user and ``burst`` at once (twice the rate unless given); a rate of 0 refuses
    nobody."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic, *, burst: float | None = None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._depth = max(1.0, BURST * rate if burst is None else burst) * self._interval
        self._clock = clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()  # the longest idle user first

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._full_at)

    def admit(self, who: Hashable) -> None:
        """Count one request. A refused one is not counted.

        Raises RateLimited with the whole seconds after which one more would be admitted.
        """
        if not self._interval:
            return
        now = self._clock()
        full_at = self._full_at.get(who)
        if full_at is None:
            self._make_room(now)
            full_at = now
        full_at = max(full_at, now) + self._interval
        # Sums of intervals are inexact: without the margin the last request of a burst would be a matter of luck.
        wait = full_at - now - self._depth - self._interval * 1e-6
        if wait > 0:
            raise RateLimited(max(1, math.ceil(wait)))
        self._full_at[who] = full_at
        self._full_at.move_to_end(who)

    def _make_room(self, now: float) -> None:
        """Before a bucket is added, drop up to two that are full, so that those of users who left do not pile up."""
        for _ in range(2):
            if not self._full_at:
                return
            who, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) < MAX_BUCKETS:
                return
            del self._full_at[who]
