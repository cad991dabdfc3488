"""How long recent requests took, and the quantiles."""

from __future__ import annotations

from collections import deque

KEPT = 2048  # durations: enough for a p99, and sorted within a millisecond


class Latencies:
    """The latest durations, in seconds. ``note`` is the deque's own append: it is called for every request."""

    def __init__(self, kept: int = KEPT) -> None:
        self._seconds: deque[float] = deque(maxlen=kept)
        self.note = self._seconds.append

    def quantile_ms(self, share: float) -> float | None:
        """The quantile of a share from 0 to 1, in milliseconds; None where there is no duration yet."""
        ordered = sorted(self._seconds)
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None

    def clear(self) -> None:
        self._seconds.clear()
