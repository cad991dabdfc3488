"""Waiting until the process has been idle for a while, as ``requestIdleCallback`` does in a page."""

from __future__ import annotations

import asyncio
import time

LOOK_EVERY_S = 0.01


async def idle_for(idle_s: float, at_most_s: float) -> None:
    """Return when the process has been without work for ``idle_s`` in all from now on, or after ``at_most_s``.

    All of its threads count, since they take turns at running Python.
    """
    began, worked = time.monotonic(), time.process_time()
    past = 0.0
    while past < at_most_s and past - (time.process_time() - worked) < idle_s:
        await asyncio.sleep(min(LOOK_EVERY_S, at_most_s))
        past = time.monotonic() - began
