"""When somebody last spoke into the microphones of one room.

The worker averages the audio level that each packet carries (RFC 6464) over a second, and tells only who was as loud as
speech. A second is short enough that one word in it counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.media.levels import Levels
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp_observer import Volume

SPEECH = -60  # dBov: soft speech with pauses is louder, a quiet room is not


class Speech(Levels):
    """Of a producer without audio levels it is never known."""

    window_s = 1.0
    threshold = SPEECH

    def __init__(self, router: Router, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(router, clock)
        self._spoken_at: dict[str, float] = {}  # by producer

    def spoken_at(self, producer_id: str) -> float | None:
        """When there was speech last, in monotonic seconds; None where there was none yet."""
        return self._spoken_at.get(producer_id)

    def _observed(self, producer: Producer) -> None:
        producer.remove_from_on_close(self._spoken_at)

    def _heard(self, volumes: tuple[Volume, ...]) -> None:
        now = self._clock()
        for heard in volumes:
            self._spoken_at[heard.producer.id] = now
