"""Twenty calls whose node is killed again and again, at any moment, and started again at once: the same calls go on,
and cost what was talked.

``CRASH_ROUNDS`` says how many deaths; ``CRASH_SEED`` which.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from app.settings import Settings
from tests.crash.outliving import LongCalls
from tests.crash.rounds import PATIENT_S
from voiceplane.loadtest.engine import Engine

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "4"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
CALLS = 20
ROUND_TAKES_S = 60  # at most, on a machine that does other things as well


@pytest.mark.timeout((ROUNDS + 1) * ROUND_TAKES_S)
async def test_calls_outlive_their_node(own_settings: Callable[..., Settings]) -> None:
    async with Engine.running(frame_ms=20) as engine:
        calls = LongCalls(own_settings(reconnect_window_s=PATIENT_S), engine, CALLS, random.Random(SEED))
        books = await calls.outlive(ROUNDS)
    assert list(calls.wrongs(books)) == []
    lives = sum(call.lives for call in calls.calls)
    assert lives >= 2 * CALLS, "each talks before the first death, and after the last"
    units = sum(len(units) for units in books.units.values())
    print(f"{units} units in {lives} talks of {CALLS} calls; started within {max(calls.ready_s):.1f} s at most")
