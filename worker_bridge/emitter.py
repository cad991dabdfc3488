"""Events: pyee's emitter, with a listener's failure kept to itself."""

from __future__ import annotations

import logging
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

from worker_bridge.checks import show
from worker_bridge.errors import InvalidParameters

NEW_LISTENER = "new_listener"  # told by pyee before it takes on a listener, with the event's name
PYEES_OWN = frozenset({"error", NEW_LISTENER})

logger = logging.getLogger(__name__)


class Emitter(AsyncIOEventEmitter):
    """State first, event second: by the time a listener runs, the object already is what the event says.

    A listener that raises, or a coroutine listener that fails, is logged; the other listeners and whoever caused the
    event never see it. pyee makes an ``error`` event of a failure: where that has listeners, they hear of it instead.

    Listening, in whatever way, raises InvalidParameters where no event of that name is ever told.
    """

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self._names = names

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call who listens to ``event``. Returns whether anybody does."""
        if event == NEW_LISTENER:
            self.require_known(args[0])
        if event == "error" and not self.listeners(event):
            failure = args[0] if args and isinstance(args[0], BaseException) else None
            logger.error("a listener of %s failed", self, exc_info=failure)
            return False
        return super().emit(event, *args, **kwargs)

    def require_known(self, event: object) -> None:
        """Raises InvalidParameters where no event of that name is ever told."""
        if not isinstance(event, str) or event not in self._names | PYEES_OWN:
            raise InvalidParameters(f"event: {show(event)} is none of {', '.join(sorted(self._names))}")
