"""Background tasks with an owner: named, logged when they fail, awaited on close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

BEGIN_AGAIN_S = 1.0

logger = logging.getLogger(__name__)


class Tasks:
    """The tasks of one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(self, loop: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run what never ends. Where it fails all the same, that is logged, and it begins again."""

        async def run() -> None:
            while True:
                try:
                    await loop()
                except Exception:
                    logger.exception("%s failed, and begins again", name)
                    await asyncio.sleep(BEGIN_AGAIN_S)

        self.start(run(), name)

    async def wait(self) -> None:
        """Wait until no task is under way, including tasks that are started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel all tasks, and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await self.wait()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s failed", task.get_name(), exc_info=task.exception())
