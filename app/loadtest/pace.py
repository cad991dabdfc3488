"""When each voice speaks: every 20 ms, and all of them spread evenly over those, as independent callers are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.loadtest.leg import Leg

FRAME_S = 0.020
SLOTS = 20
SLOT_S = FRAME_S / SLOTS
CATCH_UP = 4  # times as fast as usual: who was held up must not make up for it in one burst, as no caller would
BEHIND_BIN_S = 0.0001


class Pace:
    """The slots of one frame, one after another. `behind` counts slots by how late they were, in `BEHIND_BIN_S`."""

    def __init__(self, now: float) -> None:
        self.next_at = now
        self.behind: Counter[int] = Counter()
        self._planned_at = now
        self._slots: list[set[Leg]] = [set() for _ in range(SLOTS)]
        self._turn = 0

    def add(self, leg: Leg) -> None:
        min(self._slots, key=len).add(leg)

    def remove(self, leg: Leg) -> None:
        for slot in self._slots:
            slot.discard(leg)

    def due(self, now: float) -> Iterator[Leg]:
        """Who speaks now. To be called at `next_at` or as soon after it as may be."""
        if now < self.next_at:
            return
        slot = self._slots[self._turn % SLOTS]
        if slot:
            self.behind[int((now - self._planned_at) / BEHIND_BIN_S)] += 1
        yield from tuple(slot)
        self._turn += 1
        self._planned_at += SLOT_S
        self.next_at = max(self._planned_at, now + SLOT_S / CATCH_UP)
