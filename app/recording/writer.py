"""Writes what recorders have heard, once a second, in a thread of its own, and has it stored what becomes of the files.

A slow or full disk, or a ledger that does not answer, costs sound of the recording, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from app.calls.call import LiveCall
from app.calls.journal import RETRY_EVERY_S, Journal
from app.clock import now
from app.ledger.errors import LedgerUnavailable
from app.ledger.recordings import RecordingFile
from app.ledger.values import Event, NewEvent
from app.recording.recorder import PARTIES, Batch, LegFile, Recorder
from app.recording.storage import name_of
from app.tasks import Tasks
from schemas.signaling import RecordingChange, RecordingChanged

SLOTS: Final = 10  # of a second, in which a tenth of the calls is written each
LAG_S: Final = 0.5  # how long a packet may be under way: what comes later is left out
CLOSE_WITHIN_S: Final = 5.0
MAX_TRIES: Final = 20  # of the ledger, for a call that is over

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Writer:
    """``finished`` is called when a file is whole, or can't be ended here: somebody is to look at it."""

    def __init__(self, journal: Journal, spool: Path, finished: Callable[[], None]) -> None:
        """``spool`` is the folder in which files grow."""
        self._journal = journal
        self._ledger = journal.ledger.recordings
        self._spool = spool
        self._finished = finished
        self._recorders: dict[str, Recorder] = {}
        self._tasks = Tasks()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recording")
        self._next_slot = 0
        self.failures = 0  # times that something could not be written

    async def close(self) -> None:
        """Returns when all that was recorded is written, or nothing more can be done about it."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._tasks.wait()
        except TimeoutError:
            logger.warning("what is still to be written of recordings is left to the next start")
        await self._tasks.close()
        self._thread.shutdown(wait=False)

    def follow(self, recorder: Recorder) -> None:
        """Write what it hears, from now on."""
        self._next_slot = (self._next_slot + 1) % SLOTS
        recorder.slot = self._next_slot
        self._recorders[recorder.call.id] = recorder

    def end(self, recorder: Recorder, at: float) -> None:
        """End its files at that moment, in monotonic seconds."""
        self._recorders.pop(recorder.call.id, None)
        if recorder.files:
            self._tasks.start(self._end(recorder.collect(at)), f"{recorder.call.id} was recorded")
        else:
            self._begin_due(recorder)  # a call that was over before its files were there

    def leave(self, recorder: Recorder) -> None:
        """Leave its files to whoever goes on with them."""
        self._recorders.pop(recorder.call.id, None)
        batch = recorder.collect(now().monotonic)
        self._tasks.start(self._run(batch.leave), f"{recorder.call.id} is left as it is recorded")

    async def run(self) -> None:
        """Have written what has come, until cancelled."""
        slot = 0
        while True:
            await asyncio.sleep(1 / SLOTS)
            slot = (slot + 1) % SLOTS
            due = []
            for recorder in self._recorders.values():
                if not recorder.files:
                    self._begin_due(recorder)
                elif recorder.slot == slot and not recorder.writing:
                    due.append(recorder)
            if due:
                self._tasks.start(self._write(due), "recordings are written")

    def _begin_due(self, recorder: Recorder) -> None:
        """Give a call its files, once it is connected."""
        if recorder.call.connected_at is not None and not recorder.begun:
            recorder.begun = True
            self._tasks.start(self._begin(recorder), f"call {recorder.call.id} gets its files")

    async def _write(self, due: Sequence[Recorder]) -> None:
        until = now().monotonic - LAG_S
        batches = [recorder.collect(until) for recorder in due]
        failing = {file for batch in batches for file, _ in batch.legs if file.error is not None}
        for recorder in due:
            recorder.writing = True
        try:
            await self._run(lambda: write_all(batches))
        finally:
            for recorder in due:
                recorder.writing = False
        for recorder, batch in zip(due, batches, strict=True):
            for file, _ in batch.legs:
                if file.error is not None:
                    await self._failed(recorder.call.id, file, again=file in failing)

    async def _begin(self, recorder: Recorder) -> None:
        """Give a connected call its files: those that another process of this machine has left, or new ones."""
        call, ids = recorder.call, [f"rec_{secrets.token_hex(16)}" for _ in PARTIES]
        tries = 0
        while not recorder.files:
            try:
                files = await self._left_here(call) or await self._new_files(recorder, ids)
            except LedgerUnavailable as error:
                tries += 1
                if recorder.ended_at is not None and tries > MAX_TRIES:
                    logger.exception("call %s was recorded, and its files can't be stored", call.id)
                    return
                logger.warning("call %s: its recording waits for the ledger: %s", call.id, error)
                await asyncio.sleep(RETRY_EVERY_S)
            else:
                recorder.files = {file.role: self._leg_file(call, file) for file in files}
        if recorder.ended_at is not None:  # meanwhile
            await self._end(recorder.collect(recorder.ended_at.monotonic))

    async def _left_here(self, call: LiveCall) -> Sequence[RecordingFile]:
        """The newest part of the call, where it is in our spool and nobody has ended it."""
        files = [one for one in await self._ledger.of_call(call.id) if one.state == "recording"]
        newest = max((one.part for one in files), default=0)
        part = [one for one in files if one.part == newest]
        if not any(self._path(one.id).exists() for one in part):
            return ()
        await self._ledger.go_on([one.id for one in part], self._journal.ledger.node)
        return part

    async def _new_files(self, recorder: Recorder, ids: Sequence[str]) -> Sequence[RecordingFile]:
        call, at_ms, node = recorder.call, now().utc_ms, self._journal.ledger.node
        told = [*told_of(call, "recording_started"), *(told_of(call, "recording_paused") if recorder.paused else ())]
        files = [
            RecordingFile(id=one, call_id=call.id, role=role, part=0, node=node, began_at_ms=at_ms)
            for one, role in zip(ids, PARTIES, strict=True)
        ]
        stored: Sequence[RecordingFile] = ()

        async def storing() -> Sequence[Event]:
            nonlocal stored
            stored, events = await self._ledger.begin(files, told, at_ms)
            return events

        await self._journal.store(storing())
        return stored

    def _leg_file(self, call: LiveCall, file: RecordingFile) -> LegFile:
        if call.connected_at is None:
            raise AssertionError(f"call {call.id} is not connected")
        comments = {"CALL": call.id, "PARTY": file.role, "CONNECTED": call.connected_at.iso}
        return LegFile(file.id, self._path(file.id), comments, call.connected_at.monotonic)

    def _path(self, file_id: str) -> Path:
        return self._spool / name_of(file_id)

    async def _end(self, batch: Batch) -> None:
        written = await self._run(batch.finish)
        for (file, _), one in zip(batch.legs, written, strict=True):
            if one is None:
                await self._failed(str(file.comments["CALL"]), file)
                continue
            try:
                await self._ledger.finish(file.id, one.duration_ms, one.size)
            except LedgerUnavailable as error:
                logger.warning("recording %s is ended later: %s", file.id, error)
        self._finished()

    async def _failed(self, call_id: str, file: LegFile, *, again: bool = False) -> None:
        """Say so, unless it is said already."""
        self.failures += 1
        if again:
            return
        logger.error("call %s: recording %s can't be written: %s", call_id, file.id, file.error)
        try:
            await self._ledger.fail(file.id, str(file.error), now().utc_ms, final=False)
        except LedgerUnavailable as error:
            logger.warning("that recording %s fails can't be told: %s", file.id, error)

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def write_all(batches: Sequence[Batch]) -> None:
    for batch in batches:
        batch.write()


def told_of(call: LiveCall, change: RecordingChange) -> Sequence[NewEvent]:
    return NewEvent.to_each(call.parties, RecordingChanged(call_id=call.id, at=now().iso), call.id, change)
