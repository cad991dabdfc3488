"""The event loop's lag: how late a timer runs that is due four times a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

MEASURE_EVERY_S = 0.25
OF_A_SECOND = 4  # measurements
KEPT = 20  # measurements: five seconds


class LoopLag:
    """Measures while ``run`` runs."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=KEPT)
        self._due: float | None = None
        self._listeners: list[Callable[[float], None]] = []

    def on_measured(self, listener: Callable[[float], None]) -> None:
        """Call ``listener(lag_s)`` at every measurement."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._due = time.monotonic() + MEASURE_EVERY_S
            await asyncio.sleep(MEASURE_EVERY_S)
            late_s = max(0.0, time.monotonic() - self._due)
            self._late_s.append(late_s)
            for listener in self._listeners:
                listener(late_s)

    @property
    def worst_ms(self) -> float:
        """The worst lag of the last second, that of a timer that is still overdue included."""
        overdue = 0.0 if self._due is None else time.monotonic() - self._due
        return 1000 * max([overdue, 0.0, *list(self._late_s)[-OF_A_SECOND:]])

    @property
    def mean_ms(self) -> float:
        """The mean lag of the last five seconds, to which one late turn adds little."""
        return 1000 * sum(self._late_s) / len(self._late_s) if self._late_s else 0.0
