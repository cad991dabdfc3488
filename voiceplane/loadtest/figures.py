"""Percentiles of what was counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float | None:
    """By nearest rank: the smallest value that so many percent do not exceed. None where there is no value."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def binned_percentile(bins: Counter[int], percent: float) -> int | None:
    """The same for values that were counted in bins: the bin's number."""
    wanted, counted = math.ceil(bins.total() * percent / 100), 0
    for number in sorted(bins):
        counted += bins[number]
        if counted >= wanted:
            return number
    return None


def rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
