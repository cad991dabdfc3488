"""Which calls' audio is streamed: all that have a room here, each leg from its first packet to the end of its call."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Self

from app.calls.call import LiveCall
from app.calls.lifecycle import Lifecycle
from app.calls.taps import Taps
from app.clock import now
from app.media.room import Room
from app.settings_text import SettingsError
from app.streaming.orders import Configuration, LegOpened
from app.streaming.process import DecodingProcess
from schemas.types import PartyRole

MOVED = "moved"  # why a leg is over whose call has another node now


class AudioStreams:
    """The streams of this node's calls. Made by :meth:`running`."""

    def __init__(self, taps: Taps, process: DecodingProcess) -> None:
        self.process = process
        self._taps = taps
        self._calls: dict[str, StreamedCall] = {}
        self._numbers = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def running(cls, configuration: Configuration, lifecycle: Lifecycle, taps: Taps) -> AsyncIterator[Self]:
        """Raises SettingsError where what decodes is not installed."""
        if find_spec("av") is None:
            raise SettingsError(
                "VOICEPLANE_AUDIO_STREAM_URL needs PyAV, which decodes: install voiceplane with the extra `stream`."
            )
        async with DecodingProcess.running(configuration) as process:
            streams = cls(taps, process)
            lifecycle.on_room(streams.entered)
            lifecycle.on_left(streams.left)
            yield streams

    def entered(self, call: LiveCall, _: Room) -> None:
        """The call has entered a room; taps follow it to the next one."""
        if call.id not in self._calls:
            streamed = self._calls[call.id] = StreamedCall(call, self.process, self._numbers.__next__)
            streamed.stop = self._taps.listen(call, streamed.hear)

    def left(self, call: LiveCall) -> None:
        """The call has ended, or is another node's."""
        if (streamed := self._calls.pop(call.id, None)) is not None:
            streamed.close(str(call.end_reason) if call.end_reason is not None else MOVED)


class StreamedCall:
    """A call's legs, by number."""

    stop: Callable[[], None] | None = None

    def __init__(self, call: LiveCall, process: DecodingProcess, new_number: Callable[[], int]) -> None:
        self._call = call
        self._process = process
        self._new_number = new_number
        self._legs: dict[PartyRole, int] = {}

    def hear(self, party: PartyRole, packet: bytes, at: float) -> None:
        leg = self._legs.get(party)
        if leg is None:
            leg = self._legs[party] = self._new_number()
            call = self._call
            self._process.open_leg(leg, LegOpened(call.id, party, call.user_id, call.otomo_id, now().utc_ms), at)
        self._process.hear(leg, at, packet)

    def close(self, reason: str) -> None:
        if self.stop is not None:
            self.stop()
        for leg in self._legs.values():
            self._process.close_leg(leg, reason)
