"""How late the loop is."""

from __future__ import annotations

import asyncio
import time

from app.ops.lag import MEASURE_EVERY_S, LoopLag
from tests.conftest import eventually

STANDS_STILL_S = 0.4


async def test_a_loop_that_stood_still_was_late_and_then_is_no_more():
    lag = LoopLag()
    task = asyncio.create_task(lag.run())
    await eventually(lambda: lag._due is None and "it has not begun")
    time.sleep(STANDS_STILL_S + MEASURE_EVERY_S)  # noqa: ASYNC251  # this is the standing still
    assert lag.worst_ms >= STANDS_STILL_S * 1000, "it is overdue before the timer knows"
    await eventually(lambda: lag.mean_ms == 0 and "nothing was measured")
    assert lag.worst_ms >= STANDS_STILL_S * 1000
    await eventually(lambda: lag.worst_ms >= STANDS_STILL_S * 1000 and "it is not forgotten")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
