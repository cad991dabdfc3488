"""When each voice speaks: once in a frame, and all voices spread evenly over that time, as independent callers are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from voiceplane.loadtest.leg import Leg

SLOT_S = 0.001
CATCH_UP = 2  # times as fast as usual, after a delay
BEHIND_BIN_S = 0.0001


class Pace:
    """The slots of a frame of `frame_ms`, one after another. `behind` counts slots by how late they were, in
    `BEHIND_BIN_S`.

    After a delay it catches up gradually: no caller would send everything at once, and no server's socket would hold
    it.
    """

    def __init__(self, now: float, frame_ms: int) -> None:
        self.next_at = now
        self.behind: Counter[int] = Counter()
        self._asked_at = self._planned_at = now
        self._slots: list[set[Leg]] = [set() for _ in range(frame_ms)]
        self._turn = 0

    def add(self, leg: Leg) -> None:
        min(self._slots, key=len).add(leg)

    def remove(self, leg: Leg) -> None:
        for slot in self._slots:
            slot.discard(leg)

    def due(self, now: float) -> Iterator[Leg]:
        """The legs that speak now. To be called at `next_at`, or as soon after it as possible."""
        most = min(len(self._slots), max(1, round(CATCH_UP * (now - self._asked_at) / SLOT_S)))
        self._asked_at = now
        while most and self._planned_at <= now:
            most -= 1
            yield from self._next_slot(now)
        self.next_at = self._planned_at if self._planned_at > now else now + SLOT_S

    def _next_slot(self, now: float) -> tuple[Leg, ...]:
        legs = tuple(self._slots[self._turn % len(self._slots)])
        if legs:
            self.behind[int((now - self._planned_at) / BEHIND_BIN_S)] += 1
        self._turn += 1
        self._planned_at += SLOT_S
        return legs
