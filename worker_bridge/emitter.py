"""Events: pyee's emitter, with a listener's failure kept to itself."""

from __future__ import annotations

import logging
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

logger = logging.getLogger(__name__)


class Emitter(AsyncIOEventEmitter):
    """State first, event second: by the time a listener runs, the object already is what the event says.

    A listener that raises, or a coroutine listener that fails, is logged; the other listeners and whoever caused the
    event never see it. pyee makes an ``error`` event of a failure: where that has listeners, they hear of it instead.
    """

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call who listens to ``event``. Returns whether anybody does."""
        if event == "error" and not self.listeners(event):
            failure = args[0] if args and isinstance(args[0], BaseException) else None
            logger.error("a listener of %s failed", self, exc_info=failure)
            return False
        return super().emit(event, *args, **kwargs)
