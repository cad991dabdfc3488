"""Events: pyee's emitter, with a listener's failure kept to itself."""

from __future__ import annotations

import logging
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

logger = logging.getLogger(__name__)


class Emitter(AsyncIOEventEmitter):
    """State first, event second: by the time a listener runs, the object already is what the event says.

    A listener that raises, or a coroutine listener that fails, is logged; the other listeners and whoever caused the
    event never see it.
    """

    def _emit_handle_potential_error(self, event: str, error: Any) -> None:
        if event == "error":
            logger.error("a listener of %s failed", self, exc_info=error)
