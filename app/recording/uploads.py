"""What becomes of the files in the spool: those that nobody writes any more are ended, stored, and deleted here.
Whatever goes wrong is tried again; a file is here until it is there. What is stored is deleted when its time is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.clock import now
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.recordings import RecordingFile
from app.media.opus import RATE
from app.recording.errors import StorageError
from app.recording.spool import PRE_SKIP, Busy, Damaged, SpoolFile
from app.recording.storage import SUFFIX, Storage, name_of

LOOK_EVERY_S: Final = 5.0
TRY_AGAIN_S: Final = (5.0, 30.0, 300.0, 1800.0)  # the last one again and again
EXPIRE_EVERY_S: Final = 600.0
DAY_MS: Final = 24 * 60 * 60 * 1000

logger = logging.getLogger(__name__)


class Uploads:
    """``is_here`` says whether a call lives on this node, so that its files are somebody's."""

    def __init__(
        self, ledger: Ledger, storage: Storage, spool: Path, days: int, is_here: Callable[[str], bool]
    ) -> None:
        """Recordings are kept ``days``; 0 is for ever."""
        self._ledger = ledger
        self._recordings = ledger.recordings
        self._storage = storage
        self._spool = spool
        self._days = days
        self._is_here = is_here
        self._wake = asyncio.Event()
        self._tries: dict[str, tuple[int, float]] = {}  # failed ones by id, and when the next one is due
        self.waiting = 0  # files that are whole, or may be made so, and not stored
        self.failures = 0

    def look(self) -> None:
        """A file may be ready."""
        self._wake.set()

    async def run(self) -> None:
        """End and store what there is, until cancelled."""
        while True:
            await self.store_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):  # wait_for may lose a cancellation, before Python 3.12
                    await self._wake.wait()
            self._wake.clear()

    async def store_due(self) -> None:
        """Each file once, unless it is to wait."""
        paths = await asyncio.to_thread(lambda: sorted(self._spool.glob(f"*{SUFFIX}")))
        self._tries = {path.stem: self._tries[path.stem] for path in paths if path.stem in self._tries}
        waiting = 0
        for path in paths:
            if self._tries.get(path.stem, (0, 0.0))[1] <= now().monotonic and await self._see_to(path):
                self._tries.pop(path.stem, None)
            elif path.stem in self._tries:
                waiting += 1
        self.waiting = waiting

    async def expire(self) -> None:
        """Delete what is too old, again and again until cancelled."""
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            try:
                await self.expire_due()
            except (LedgerUnavailable, StorageError) as error:
                logger.warning("recordings whose time is over could not be deleted now: %s", error)

    async def expire_due(self) -> None:
        """Raises LedgerUnavailable, StorageError."""
        while some := await self._recordings.expired(now().utc_ms):
            for file in some:
                await self.delete(file)
        for file in await self._recordings.abandoned(now().utc_ms - DAY_MS):
            if not (self._spool / name_of(file.id)).exists():
                error = "the node that wrote it has not come back"
                await self._recordings.fail(file.id, error, now().utc_ms, final=True)

    async def delete(self, file: RecordingFile) -> None:
        """From the storage, then from the ledger; a file that is still in a spool is deleted there by whoever has it.

        Raises StorageError, LedgerUnavailable.
        """
        await self._storage.delete(name_of(file.id))
        await self._recordings.remove(file.id)
        self.look()

    async def size(self, file: RecordingFile) -> int:
        """Raises StorageError, NotStored."""
        return await self._storage.size(name_of(file.id))

    def read(self, file: RecordingFile, begin: int, end: int) -> AsyncIterator[bytes]:
        """Its bytes from ``begin`` up to ``end``. Raises StorageError, NotStored."""
        return self._storage.read(name_of(file.id), begin, end)

    async def _see_to(self, path: Path) -> bool:
        """Returns whether there is no more to do about the file now."""
        try:
            file = await self._recordings.file(path.stem)
            if file is not None and file.state == "recording":
                if self._is_here(file.call_id):
                    return True
                file = await self._end(file, path)
            if file is not None and file.state == "finished":
                await self._storage.put(name_of(file.id), path)
                if not await self._recordings.store(file.id, now().utc_ms, self._expiry()):
                    await self._storage.delete(name_of(file.id))  # it was deleted meanwhile
            path.unlink(missing_ok=True)
        except Busy:
            return True
        except LedgerUnavailable as error:
            logger.warning("recording %s waits for the ledger: %s", path.stem, error)
            return self._later(path.stem)
        except (StorageError, OSError) as error:
            self.failures += 1
            logger.warning("recording %s can't be stored yet: %s", path.stem, error)
            with suppress(LedgerUnavailable):
                await self._recordings.fail(path.stem, str(error)[:1000], now().utc_ms, final=False)
            return self._later(path.stem)
        return True

    def _later(self, file_id: str) -> bool:
        tries, _ = self._tries.get(file_id, (0, 0.0))
        wait_s = TRY_AGAIN_S[min(tries, len(TRY_AGAIN_S) - 1)]
        self._tries[file_id] = (tries + 1, now().monotonic + wait_s)
        return False

    async def _end(self, file: RecordingFile, path: Path) -> RecordingFile | None:
        """End a file that its writer has left: where the call ended, if that is known and it is the leg's last one.

        Raises Busy, LedgerUnavailable, OSError.
        """
        call = await self._ledger.call(file.call_id)
        last = max(one.part for one in await self._recordings.of_call(file.call_id))
        samples = None
        if call is not None and call.ended_at_ms is not None and call.connected_at_ms is not None and file.part == last:
            samples = max(0, call.ended_at_ms - call.connected_at_ms) * RATE // 1000
        try:
            duration_ms, size = await asyncio.to_thread(end_left, path, samples)
        except Damaged:
            logger.warning("recording %s was cut off before anything was in it", file.id)
            await self._recordings.fail(file.id, "nothing was written", now().utc_ms, final=True)
            return None
        await self._recordings.finish(file.id, duration_ms, size)
        logger.warning("recording %s was left by its writer, and is ended after %d ms", file.id, duration_ms)
        return await self._recordings.file(file.id)

    def _expiry(self) -> int | None:
        return now().utc_ms + self._days * DAY_MS if self._days else None


def end_left(path: Path, samples: int | None) -> tuple[int, int]:
    """End a file after so many samples; None is after those that it has. Returns milliseconds and bytes."""
    file = SpoolFile.resume(path)
    try:
        samples = max(0, file.granule - PRE_SKIP) if samples is None else samples
        file.finish(samples)
        return round(samples * 1000 / RATE), file.size
    finally:
        file.close()
