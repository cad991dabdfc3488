"""Events: pyee's emitter, with a listener's failure kept to itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

logger = logging.getLogger(__name__)


class Emitter(AsyncIOEventEmitter):
    """State first, event second: by the time a listener runs, the object already is what the event says.

    A listener that raises, or a coroutine listener that fails, is logged; the other listeners and whoever caused the
    event never see it.
    """

    def _call_handlers(self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """As pyee's, without its lock: one loop's thread is all that comes here, once for every packet."""
        handlers = self._events.get(event)
        if not handlers:
            return False
        for handler in tuple(handlers.values()):
            self._emit_run(handler, args, kwargs)
        return True

    def _emit_run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """As pyee's, which looks at what a listener returns for longer than most listeners run."""
        try:
            result = f(*args, **kwargs)
        except Exception as error:
            self.emit("error", error)
        else:
            if result is not None:
                super()._emit_run(lambda: result, (), {})

    def _emit_handle_potential_error(self, event: str, error: Any) -> None:
        if event == "error":
            logger.error("a listener of %s failed", self, exc_info=error)
