"""Dead microphones: those that send packets without any sound in them.

The worker reads the audio level that each packet carries (RFC 6464), and tells its average once a window. A quiet room
has some level; only a microphone that is unplugged, or muted without the server's knowledge, has none at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.media.levels import Levels
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp_observer import Volume

WINDOW_S = 5.0  # the worker's longest: with DTX a silent party sends 12 packets in it, and an average takes 10
STALE_AFTER_S = 1.5 * WINDOW_S  # an older level says nothing: the party has muted itself since, or sent too little
NO_SOUND = -127  # dBov (RFC 6464 §3)


class Microphones(Levels):
    """The microphones of one room. A producer without audio levels can't be judged, and never counts as dead."""

    window_s = WINDOW_S
    threshold = NO_SOUND

    def __init__(self, router: Router, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(router, clock)
        self._levels: dict[str, tuple[int, float]] = {}  # by producer: dBov, and when it came
        self._dead_since: dict[str, float] = {}

    @property
    def some_dead(self) -> bool:
        """Whether the last level of any microphone was no sound."""
        return bool(self._dead_since)

    def knows(self, producer_id: str) -> bool:
        """Whether the producer has told any level yet."""
        return producer_id in self._levels

    def level(self, producer_id: str) -> int | None:
        """The average level of the last window in dBov, -127 to 0; None where there is none."""
        level, told_at = self._levels.get(producer_id, (0, 0.0))
        return level if self._clock() - told_at < STALE_AFTER_S else None

    def dead_since(self, producer_id: str) -> float | None:
        """Since when, in monotonic seconds, there has been no sound for a whole window; None where there is sound."""
        return self._dead_since.get(producer_id) if self.level(producer_id) == NO_SOUND else None

    def _observed(self, producer: Producer) -> None:
        producer.remove_from_on_close(self._levels)
        producer.remove_from_on_close(self._dead_since)

    def _heard(self, volumes: tuple[Volume, ...]) -> None:
        now = self._clock()
        for heard in volumes:
            producer_id = heard.producer.id
            self._levels[producer_id] = heard.volume, now
            if heard.volume > NO_SOUND:
                self._dead_since.pop(producer_id, None)
            else:
                self._dead_since.setdefault(producer_id, now - WINDOW_S)
