"""The audio levels that packets carry (RFC 6464), as the worker averages and tells them, of one room's producers."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from worker_bridge.errors import BridgeError
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp_observer import AudioLevelObserver, Volume

MOST_PRODUCERS = 100
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

logger = logging.getLogger(__name__)


class Levels:
    """What they mean is said by those who derive from it. A producer without levels is never heard of."""

    window_s: ClassVar[float]
    """How long the worker averages."""
    threshold: ClassVar[int]
    """The least level that it tells, in dBov, -127 to 0."""

    def __init__(self, router: Router, clock: Callable[[], float] = time.monotonic) -> None:
        self._router = router
        self._clock = clock
        self._observer: AudioLevelObserver | None = None
        self._making = asyncio.Lock()

    async def observe(self, producer: Producer) -> None:
        """Observe a producer's levels from now on, where it has any."""
        if producer.kind != "audio" or not carries_levels(producer):
            return
        try:
            async with self._making:
                observer = self._observer or await self._create_observer()
            await observer.add_producer(producer.id)
        except BridgeError as error:  # the room or the producer closed meanwhile
            logger.debug("the levels of %r are not observed: %s", producer, error)
            return
        self._observed(producer)

    @abstractmethod
    def _observed(self, producer: Producer) -> None:
        """Its levels are told from now on, until it closes."""

    @abstractmethod
    def _heard(self, volumes: tuple[Volume, ...]) -> None:
        """The levels of a window have come."""

    async def _create_observer(self) -> AudioLevelObserver:
        observer = self._observer = await self._router.create_audio_level_observer(
            max_entries=MOST_PRODUCERS, threshold=self.threshold, interval_ms=round(self.window_s * 1000)
        )
        observer.events.on("volumes", self._heard)
        return observer


def carries_levels(producer: Producer) -> bool:
    return any(extension.uri == AUDIO_LEVEL for extension in producer.rtp_parameters.header_extensions)
