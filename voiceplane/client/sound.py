"""A call's sound as long as the call lives: microphone, loudspeaker, and the tasks that keep both connected.

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

CHECK_EVERY_S = 0.5  # at the microphone


class Sound:
    """Begins at once. `silent` is called with the seconds, once for each time that the microphone falls silent."""

    def __init__(
        self,
        api: Api,
        call_id: str,
        role: str,
        track: MediaStreamTrack | None,
        hooks: Hooks,
        silent: Callable[[float], None],
    ) -> None:
        self.microphone = Microphone(track)
        self.loudspeaker = Loudspeaker()
        self.following = Following(api, call_id, role, self.microphone, self.loudspeaker, hooks)
        self._silent = silent
        self._stopped = False
        self._tasks = (
            _started(self.following.run(), f"the sound of {call_id}"),
            _started(self._watch(), f"the microphone of {call_id}"),
        )

    def stop(self) -> None:
        """Begin to close; `closed` says when that is through."""
        if self._stopped:  # a second cancellation would cut short what the first one made them tidy up
            return
        self._stopped = True
        for task in self._tasks:
            task.cancel()

    async def closed(self) -> None:
        """Wait until no task, transport or track of it is left."""
        await asyncio.wait(self._tasks)

    async def _watch(self) -> None:
        told = False
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            silent = self.microphone.silent_s >= SILENT_AFTER_S
            if silent and not told:
                self._silent(self.microphone.silent_s)
            told = silent


def _started(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    """A defect of this package, which nobody else would ever see."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})
