"""How late the event loop is: a timer that falls due four times a second, and by how much each turn missed it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

LOOK_EVERY_S = 0.25
LATELY = 4  # looks: a second
LOOKS = 20  # that are kept: five seconds


class LoopLag:
    """Measures while ``run`` runs."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=LOOKS)
        self._due: float | None = None
        self._listeners: list[Callable[[float], None]] = []

    def on_measured(self, listener: Callable[[float], None]) -> None:
        """Call ``listener(seconds)`` at every measurement with how late it was."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._due = time.monotonic() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            late_s = max(0.0, time.monotonic() - self._due)
            self._late_s.append(late_s)
            for listener in self._listeners:
                listener(late_s)

    @property
    def worst_ms(self) -> float:
        """The worst of the last second, a measurement that is still overdue included."""
        overdue = 0.0 if self._due is None else time.monotonic() - self._due
        return 1000 * max([overdue, 0.0, *list(self._late_s)[-LATELY:]])

    @property
    def mean_ms(self) -> float:
        """Over the last five seconds: what every turn is late by, not one."""
        return 1000 * sum(self._late_s) / len(self._late_s) if self._late_s else 0.0
