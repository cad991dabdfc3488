"""Waiting until the process has been idle for a while, as ``requestIdleCallback`` does in a page."""

from __future__ import annotations

import asyncio
import time

LOOK_EVERY_S = 0.01
LEAST_SHARE = 0.1  # of the time: a process that is idle for less is as busy as it can be


async def idle_for(idle_s: float, at_most_s: float) -> None:
    """Return when the process has been without work for ``idle_s`` in all from now on, and for a tenth of the time;
    or after ``at_most_s``.

    All of its threads count, since they take turns at running Python.
    """
    began, worked = time.monotonic(), time.process_time()
    past = idle = 0.0
    while past < at_most_s and idle < max(idle_s, LEAST_SHARE * past):
        await asyncio.sleep(min(LOOK_EVERY_S, at_most_s))
        past = time.monotonic() - began
        idle = past - (time.process_time() - worked)
