"""What can be paused: something by itself, or a stream that also stops when its source is paused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from worker_bridge.event_names import AnyPausableEvent, PausableEvent, names_of
from worker_bridge.resource import Resource


class Pausable(Resource[AnyPausableEvent]):
    """Events: ``pause()`` and ``resume()``, when that changes anything."""

    known_events = names_of(PausableEvent)
    methods: ClassVar[str]
    """What the names of its own requests begin with."""

    paused = False
    _pausing = 0  # requests to pause or resume that are not answered yet

    async def pause(self) -> None:
        """Let nothing through from now on; what comes meanwhile is lost."""
        await self._request_paused(True)

    async def resume(self) -> None:
        """Let through what comes from now on; of video, a key frame is asked for."""
        await self._request_paused(False)

    def take_effect(self, paused: bool) -> None:
        """One that flows from this says that it is paused, or is not: the worker tells that before it answers."""
        if self._pausing:  # else it was mirrored, and may have changed again meanwhile
            self._set_paused(paused)

    def mirror_pause(self, paused: bool) -> None:
        """Be paused or not, as something else is: at once; the worker is told, and what it answers changes nothing."""
        if not self.closed and self.paused != paused:
            self._channel.post(f"{self.methods}_PAUSE" if paused else f"{self.methods}_RESUME", self.id)
            self._set_paused(paused)

    async def _request_paused(self, paused: bool) -> None:
        self._pausing += 1
        try:
            await self._request(f"{self.methods}_PAUSE" if paused else f"{self.methods}_RESUME")
        finally:
            self._pausing -= 1
        self._set_paused(paused)

    def _set_paused(self, paused: bool) -> None:
        if self.paused != paused:
            self.paused = paused
            self._emit("pause" if paused else "resume")


class SourceBound(Pausable[AnyPausableEvent]):
    """A stream of a source, which flows while neither of the two is paused.

    Events: ``pause()`` and ``resume()`` when the flow really changes; that of the source by its own name.
    """

    source: ClassVar[str]
    """What the source is called in events."""

    _source_paused = False
    _sources: Mapping[str, Pausable] = MappingProxyType({})
    """Those of its router, by id."""

    @property
    def source_paused(self) -> bool:
        """Whether the source is paused, whatever this is by itself (``paused``)."""
        return self._source_paused

    def _set_paused(self, paused: bool) -> None:
        flows = not self.paused and not self._source_paused
        self.paused = paused
        self._flow_changed(flows)

    def _source_notified(self, source_id: str, paused: bool) -> None:
        """State first, also that of the source."""
        if source := self._sources.get(source_id):
            source.take_effect(paused)
        self._set_source_paused(paused)

    def _set_source_paused(self, paused: bool) -> None:
        if self._source_paused != paused:
            flows = not self.paused and not self._source_paused
            self._source_paused = paused
            self._emit(f"{self.source}pause" if paused else f"{self.source}resume")
            self._flow_changed(flows)

    def _flow_changed(self, flowed: bool) -> None:
        flows = not self.paused and not self._source_paused
        if flows != flowed:
            self._emit("resume" if flows else "pause")
