"""Waiting for a moment in which the event loop has nothing else to do, as ``requestIdleCallback`` does in a page."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

QUIET_TURN_S = 0.0001  # a turn of the loop that runs a short callback at most
QUIET_TURNS = 4  # in succession: a busy loop, too, has a quiet turn now and then
BETWEEN_S = 0.002


async def quiet_moment(at_most_s: float) -> None:
    """Return when the loop is quiet, after some milliseconds where it is so now; or after ``at_most_s``."""
    in_succession = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            while in_succession < QUIET_TURNS:
                await asyncio.sleep(BETWEEN_S)
                began = time.monotonic()
                await asyncio.sleep(0)
                in_succession = in_succession + 1 if time.monotonic() - began < QUIET_TURN_S else 0
