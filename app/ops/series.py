"""The last hour of the node in five-second steps, in memory: what charts are drawn from."""

from __future__ import annotations

from collections import deque
from statistics import fmean
from typing import Any

from schemas.node import MAX_SAMPLES, Sample, SampleSeries

STEP_S = 5
AT_THE_END = frozenset({"at", "calls", "talking", "sockets"})
WORST = frozenset({"loop_lag_ms", "http_p95_ms"})  # of a step; of all other names, the mean


class Series:
    """Steps, oldest first."""

    def __init__(self) -> None:
        self._steps: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._open: list[Sample] = []

    @property
    def steps(self) -> tuple[Sample, ...]:
        return tuple(self._steps)

    def add(self, second: Sample) -> None:
        """Add the next second's values; each fifth one closes a step."""
        self._open.append(second)
        if len(self._open) == STEP_S:
            self._steps.append(step_of(self._open))
            self._open = []

    def body(self, node: str) -> SampleSeries:
        """As the node of that name answers."""
        return SampleSeries(STEP_S, node, self.steps)


def step_of(seconds: list[Sample]) -> Sample:
    names = Sample.__struct_fields__
    return Sample(**{name: together(name, [getattr(second, name) for second in seconds]) for name in names})


def together(name: str, values: list[Any]) -> Any:
    if name in AT_THE_END:
        return values[-1]
    known = [value for value in values if value is not None]
    if not known:
        return None
    return round(max(known) if name in WORST else fmean(known), 3)
