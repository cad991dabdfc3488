"""The parts of recording, wired together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.calls.taps import Taps
from app.private import make_private_folder
from app.recording.readings import Readings
from app.recording.recordings import Recordings
from app.recording.storage import Storage, storage_at
from app.recording.uploads import Uploads
from app.recording.writer import Writer
from app.settings import Settings
from app.tasks import Tasks

SPOOL = "recording-spool"  # the folder of files that are not in the storage yet

logger = logging.getLogger(__name__)


class Recording:
    """Made by :meth:`running`. Where recording is off no call is recorded, and what was is still there to be had."""

    def __init__(self, settings: Settings, registry: Registry, journal: Journal, taps: Taps, storage: Storage) -> None:
        spool = settings.data_dir / SPOOL
        self.uploads = Uploads(
            journal.ledger, storage, spool, settings.recording_days, lambda call_id: call_id in registry
        )
        self.readings = Readings()
        self.writer = Writer(journal, spool, self.uploads.look)
        self.recordings = Recordings(
            journal, taps, self.writer, enabled=settings.recording, max_calls=settings.recording_max_calls
        )

    @classmethod
    @asynccontextmanager
    async def running(
        cls, settings: Settings, registry: Registry, lifecycle: Lifecycle, journal: Journal, taps: Taps
    ) -> AsyncIterator[Recording]:
        """Recordings of the calls of ``lifecycle``. Raises NoStorage, OSError where nothing can be recorded."""
        await asyncio.to_thread(make_private_folder, settings.data_dir / SPOOL)
        storage = storage_at(settings.recordings_at)
        recording = cls(settings, registry, journal, taps, storage)
        lifecycle.on_room(recording.recordings.room_entered)
        lifecycle.on_left(recording.recordings.left)
        background = Tasks()
        background.keep(recording.writer.run, "recordings")
        background.keep(recording.uploads.run, "recordings to be stored")
        background.keep(recording.uploads.expire, "expiry of recordings")
        try:
            yield recording
        finally:
            await recording.recordings.close()
            await recording.writer.close()
            await background.close()
            await storage.close()
