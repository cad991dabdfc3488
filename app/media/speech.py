"""When somebody last spoke into the microphones of one room.

The worker averages the audio level that each packet carries (RFC 6464) over a second, and tells only who was as loud as
speech. A second is short enough that one word in it counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.media.microphones import MOST_PRODUCERS, carries_levels
from worker_bridge.errors import BridgeError
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp_observer import AudioLevelObserver, Volume

WINDOW_S = 1.0
SPEECH = -60  # dBov: soft speech with pauses is louder, a quiet room is not

logger = logging.getLogger(__name__)


class Speech:
    """Of a producer without audio levels it is never known."""

    def __init__(self, router: Router, clock: Callable[[], float] = time.monotonic) -> None:
        self._router = router
        self._clock = clock
        self._observer: AudioLevelObserver | None = None
        self._making = asyncio.Lock()
        self._spoken_at: dict[str, float] = {}  # by producer

    async def observe(self, producer: Producer) -> None:
        """Listen to a producer from now on, where it has levels."""
        if producer.kind != "audio" or not carries_levels(producer):
            return
        try:
            async with self._making:
                observer = self._observer or await self._create_observer()
            await observer.add_producer(producer.id)
        except BridgeError as error:  # the room or the producer closed meanwhile
            logger.debug("speech of %r is not observed: %s", producer, error)
            return
        producer.remove_from_on_close(self._spoken_at)

    def spoken_at(self, producer_id: str) -> float | None:
        """When there was speech last, in monotonic seconds; None where there was none yet."""
        return self._spoken_at.get(producer_id)

    async def _create_observer(self) -> AudioLevelObserver:
        observer = self._observer = await self._router.create_audio_level_observer(
            max_entries=MOST_PRODUCERS, threshold=SPEECH, interval_ms=round(WINDOW_S * 1000)
        )
        observer.events.on("volumes", self._heard)
        return observer

    def _heard(self, volumes: tuple[Volume, ...]) -> None:
        now = self._clock()
        for heard in volumes:
            self._spoken_at[heard.producer.id] = now
