"""How long things took lately, and the quantiles of it."""

from __future__ import annotations

from collections import deque

KEPT = 2048  # times: enough for a p99, and sorted within a millisecond


class Latencies:
    """The latest times, in seconds. ``note`` is a deque's own append, because it is called for every request."""

    def __init__(self, kept: int = KEPT) -> None:
        self._seconds: deque[float] = deque(maxlen=kept)
        self.note = self._seconds.append

    def quantile_ms(self, share: float) -> float | None:
        """The time within which that share of them were done, in milliseconds; None where there was none."""
        ordered = sorted(self._seconds)
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None

    def clear(self) -> None:
        self._seconds.clear()
