"""The parts of announcing, wired together; and the clip that warns of a call's end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.announcing.announcer import Announcer
from app.announcing.clips import Clips
from app.announcing.holds import Holds
from app.announcing.pacer import Pacer
from app.calls.call import LiveCall
from app.calls.endings import Endings
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.errors import ClipNotFound, InvalidCallState
from app.settings import Settings
from app.tariffs import End
from app.tasks import Tasks
from schemas.types import PartyRole

WARNED: PartyRole = "user"  # whose points they are

logger = logging.getLogger(__name__)


class Announcing:
    """Made by :meth:`running`."""

    def __init__(self, clips: Clips, low_balance_clip: str | None, journal: Journal) -> None:
        self.clips = clips
        self.pacer = Pacer()
        self.announcer = Announcer(self.pacer)
        self.holds = Holds(clips, self.pacer, journal)
        self._low_balance_clip = low_balance_clip
        self._tasks = Tasks()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, settings: Settings, lifecycle: Lifecycle, endings: Endings, journal: Journal
    ) -> AsyncIterator[Announcing]:
        """Announcements and holds in the calls of ``lifecycle``."""
        announcing = cls(Clips(settings.clips_dir), settings.low_balance_clip, journal)
        for one in (announcing.announcer, announcing.holds):
            lifecycle.on_room(one.entered)
            lifecycle.on_left(one.left)
        endings.on_warning(announcing.warn)
        await announcing.check_clips()
        try:
            yield announcing
        finally:
            await announcing.announcer.close()
            await announcing.holds.close()
            await announcing._tasks.close()

    async def check_clips(self) -> None:
        """Have what can't be played in the log."""
        await self.clips.list()
        if self._low_balance_clip is not None:
            try:
                await self.clips.get(self._low_balance_clip)
            except ClipNotFound as error:
                logger.warning("LOW_BALANCE_CLIP can't be played: %s", error)

    def warn(self, call: LiveCall, _: End) -> None:
        """Both have been warned of the call's end: play the clip for that."""
        if self._low_balance_clip is not None:
            work = self._warn(call, self._low_balance_clip)
            self._tasks.start(work, f"the user of call {call.id} is warned")

    async def _warn(self, call: LiveCall, name: str) -> None:
        try:
            self.announcer.announce(call, await self.clips.get(name), (WARNED,))
        except (ClipNotFound, InvalidCallState) as error:
            logger.warning("call %s: the user hears no warning: %s", call.id, error)
