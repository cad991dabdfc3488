"""Waiting until the process has been idle for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from app.tasks import Tasks
from app.webhooks.idle import idle_for

IDLE_S = 0.2
WORK_S = 0.002  # of each turn of a busy loop


async def waited(at_most_s: float) -> float:
    began = time.monotonic()
    await idle_for(IDLE_S, at_most_s)
    return time.monotonic() - began


@pytest.fixture
async def busy() -> AsyncIterator[asyncio.Event]:
    """A process that works all the time, until the event is set."""
    enough = asyncio.Event()

    async def work() -> None:
        while not enough.is_set():
            until = time.thread_time() + WORK_S
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)

    tasks = Tasks()
    tasks.start(work(), "work")
    yield enough
    enough.set()
    await tasks.close()


async def test_an_idle_process_is_waited_for_no_longer_than_asked() -> None:
    assert IDLE_S <= min([await waited(60.0) for _ in range(3)]) < 2 * IDLE_S


async def test_a_busy_one_is_waited_for_so_long_and_no_longer(busy: asyncio.Event) -> None:
    assert 2 * IDLE_S <= await waited(2 * IDLE_S) < 20 * IDLE_S


async def test_it_comes_when_the_work_is_done(busy: asyncio.Event) -> None:
    waiting = asyncio.create_task(waited(60.0))
    asyncio.get_running_loop().call_later(IDLE_S, busy.set)
    assert 1.5 * IDLE_S <= await waiting < 30.0
