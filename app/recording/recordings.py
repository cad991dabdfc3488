"""Which of this node's calls are recorded: begun, paused, ended, and taken up again where the call came from another
process. Knows no file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.calls.call import LiveCall
from app.calls.journal import RETRY_EVERY_S, Journal
from app.calls.taps import Taps
from app.clock import now
from app.errors import InvalidCallState, NotEnabled, RecordingLimitExceeded
from app.ledger.errors import LedgerUnavailable
from app.ledger.recordings import CallRecording
from app.ledger.steps import FIRST_EPOCH
from app.media.room import Room
from app.recording.recorder import Recorder
from app.recording.writer import Writer, told_of
from app.tasks import Tasks
from schemas.recording import RecordingState
from schemas.signaling import RecordingChange

OFF: Final = "RECORDING is off"

logger = logging.getLogger(__name__)


class Recordings:
    """Listens to the life cycle: see ``room_entered`` and ``left``."""

    def __init__(self, journal: Journal, taps: Taps, writer: Writer, *, enabled: bool, max_calls: int) -> None:
        """At most ``max_calls`` are recorded at once; 0 is no limit."""
        self._journal = journal
        self._ledger = journal.ledger.recordings
        self._taps = taps
        self._writer = writer
        self._enabled = enabled
        self._max_calls = max_calls
        self._recorders: dict[str, Recorder] = {}
        self._opening: set[str] = set()  # ids of calls that are to be recorded from their first packet on
        self._commands = asyncio.Lock()
        self._tasks = Tasks()
        self.refused = 0  # times that a call was one too many

    def __len__(self) -> int:
        return len(self._recorders)

    async def close(self) -> None:
        """What is recorded still is left as it is."""
        await self._tasks.close()
        for recorder in tuple(self._recorders.values()):
            self._forget(recorder)
            self._writer.leave(recorder)

    # commands

    @asynccontextmanager
    async def opening(self, call_id: str, by: str, reason: str) -> AsyncIterator[None]:
        """A call that is opened in here is recorded from its first packet on.

        Raises NotEnabled, RecordingLimitExceeded, LedgerUnavailable, before anything is done.
        """
        self._require_place()
        self._opening.add(call_id)
        try:
            new = await self._ledger.ask_first(asked_now(call_id, by, reason))
            try:
                yield
            except BaseException:
                if new and call_id not in self._recorders:
                    await self._ledger.forget(call_id)
                raise
        finally:
            self._opening.discard(call_id)

    async def start(self, call: LiveCall, by: str, reason: str) -> RecordingState:
        """Record a live call from now on, or from its first packet on; where it is recorded already nothing changes.

        Raises NotEnabled, RecordingLimitExceeded, InvalidCallState where it has ended meanwhile.
        """
        async with self._commands:
            if call.id not in self._recorders:
                self._require_place()
                await self._ledger.ask(asked_now(call.id, by, reason))
                if not call.live:
                    raise InvalidCallState(f"call {call.id} is {call.state}")
                if call.id not in self._recorders:
                    self._record(call, paused=False)
            return self._state(call)

    async def pause(self, call: LiveCall, *, paused: bool) -> RecordingState:
        """Record nothing for now, or go on. Raises InvalidCallState where the call is not recorded."""
        async with self._commands:
            recorder = self._recorders.get(call.id)
            if recorder is None:
                raise InvalidCallState(f"call {call.id} is not recorded")
            if paused or recorder.paused:
                recorder.paused = True  # before it is stored that it is, and until it is stored that it goes on
                await self._change(recorder, "paused" if paused else "recording")
                recorder.paused = paused
            return self._state(call)

    async def stop(self, call: LiveCall) -> RecordingState:
        """End a call's recording; where it has ended nothing changes. Raises InvalidCallState where there was none."""
        async with self._commands:
            recorder = self._recorders.get(call.id)
            if recorder is not None:
                await self._change(recorder, "stopped")
                self._end(recorder)
            elif await self._ledger.asked(call.id) is None:
                raise InvalidCallState(f"call {call.id} is not recorded")
            return "stopped"

    def _require_place(self) -> None:
        if not self._enabled:
            raise NotEnabled(OFF)
        if self._max_calls and len(self._recorders) + len(self._opening) >= self._max_calls:
            self.refused += 1
            logger.error("%d calls are recorded, as many as RECORDING_MAX_CALLS allows: one more is refused", len(self))
            raise RecordingLimitExceeded(f"RECORDING_MAX_CALLS is {self._max_calls}")

    async def _change(self, recorder: Recorder, state: RecordingState) -> None:
        """Store what is so from now on, and tell both parties, once, if they know that they are recorded."""
        if recorder.stored == state:
            return
        told = told_of(recorder.call, TOLD[state]) if recorder.files else ()
        await self._journal.store(self._ledger.change(recorder.call.id, state, told, now().utc_ms))
        recorder.stored = state

    def _state(self, call: LiveCall) -> RecordingState:
        recorder = self._recorders.get(call.id)
        if recorder is None:
            return "stopped"
        return "paused" if recorder.paused else "recording"

    # calls come and go

    def room_entered(self, call: LiveCall, room: Room) -> None:
        """A call that another process has left comes with its second room at the earliest."""
        if not self._enabled or call.id in self._recorders:
            return
        if call.id in self._opening:
            self._record(call, paused=False)
        elif room.epoch > FIRST_EPOCH:
            self._tasks.start(self._take_up(call), f"call {call.id} may be recorded")

    def left(self, call: LiveCall) -> None:
        """A call has ended, or is another node's. One that this process leaves as it is may go on being recorded by the
        next one, in the same files."""
        recorder = self._recorders.get(call.id)
        if recorder is None:
            return
        if call.live:
            self._forget(recorder)
            self._writer.leave(recorder)
        else:
            self._end(recorder)

    async def _take_up(self, call: LiveCall) -> None:
        while call.live:
            try:
                asked = await self._ledger.asked(call.id)
            except LedgerUnavailable as error:
                logger.warning("call %s: whether it is recorded is not known yet: %s", call.id, error)
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            if asked is not None and asked.state != "stopped" and call.live and call.id not in self._recorders:
                self._record(call, paused=asked.state == "paused")
            return

    def _record(self, call: LiveCall, *, paused: bool) -> None:
        recorder = self._recorders[call.id] = Recorder(call, paused, "paused" if paused else "recording")
        recorder.stop = self._taps.listen(call, recorder.hear)
        self._writer.follow(recorder)
        logger.info("call %s is recorded", call.id)

    def _end(self, recorder: Recorder) -> None:
        self._forget(recorder)
        recorder.ended_at = recorder.call.ended_at or now()
        self._writer.end(recorder, recorder.ended_at.monotonic)

    def _forget(self, recorder: Recorder) -> None:
        recorder.stop()
        self._recorders.pop(recorder.call.id, None)


TOLD: Final[dict[RecordingState, RecordingChange]] = {
    "recording": "recording_started",
    "paused": "recording_paused",
    "stopped": "recording_stopped",
}


def asked_now(call_id: str, by: str, reason: str) -> CallRecording:
    return CallRecording(call_id=call_id, state="recording", asked_by=by, reason=reason, asked_at_ms=now().utc_ms)
