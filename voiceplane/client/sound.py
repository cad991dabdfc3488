"""A call's sound as long as the call lives: microphone, loudspeaker, and the tasks that keep both connected and watch.

Knows no event of the server's, and nothing of a call's state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiortc import MediaStreamTrack

from voiceplane.client.api import Api
from voiceplane.client.audio import SILENT_AFTER_S, Loudspeaker, Microphone
from voiceplane.client.following import Following, Hooks
from voiceplane.client.stats import CallStats, Quality, QualityWord, heard_since

CHECK_EVERY_S = 1.0


class Sound:
    """Begins at once. `silent` is called with the seconds, once for each time that the microphone falls silent;
    `sounds` with the word and the score, each time that the other party sounds otherwise."""

    def __init__(
        self,
        api: Api,
        call_id: str,
        role: str,
        track: MediaStreamTrack | None,
        hooks: Hooks,
        offered: dict[str, int],
        silent: Callable[[float], None],
        sounds: Callable[[Quality, float | None], None],
    ) -> None:
        self.microphone = Microphone(track)
        self.loudspeaker = Loudspeaker()
        self.following = Following(api, call_id, role, self.microphone, self.loudspeaker, hooks, offered)
        self.is_remote_muted = False
        self._silent = silent
        self._sounds = sounds
        self._word = QualityWord()
        self._stopped = False
        self._tasks = (
            _started(self.following.run(), f"the sound of {call_id}"),
            _started(self._watch(), f"how {call_id} sounds"),
        )

    def stop(self) -> None:
        """Begin to close; await `closed` for the end of it."""
        if self._stopped:  # a second cancellation would interrupt the cleaning up after the first
            return
        self._stopped = True
        for task in self._tasks:
            task.cancel()

    async def closed(self) -> None:
        """Wait until no task, transport or track of it is left."""
        await asyncio.wait(self._tasks)
        self.microphone.stop()
        self.loudspeaker.stop()

    @property
    def quality(self) -> Quality:
        return self._word.word

    async def stats(self) -> CallStats:
        """Of the room of this moment; nothing while there is none."""
        room = self.following.now
        if room is None:
            return CallStats()
        return CallStats.of(await room.media.stats(), tuple(handler.state() for handler in room.media.handlers))

    async def _watch(self) -> None:
        told, room, before = False, self.following.now, CallStats()
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            silent = self.microphone.silent_s >= SILENT_AFTER_S
            if silent and not told:
                self._silent(self.microphone.silent_s)
            told = silent
            now, former, room = await self.stats(), room, self.following.now
            if room is former and before.packets_received and not self.is_remote_muted:
                word, score = heard_since(before, now)
                if self._word.take(word):
                    self._sounds(word, score)
            before = now


def _started(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    """Report a bug of this package, which nobody would notice otherwise."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})
