"""Waiting for a quiet moment of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from app.tasks import Tasks
from app.webhooks.quiet import quiet_moment

AT_MOST_S = 0.3
WORK_S = 0.002  # of each turn of a busy loop


async def waited(at_most_s: float) -> float:
    began = time.monotonic()
    await quiet_moment(at_most_s)
    return time.monotonic() - began


@pytest.fixture
async def busy() -> AsyncIterator[asyncio.Event]:
    """A loop that works in all of its turns, until the event is set."""
    enough = asyncio.Event()

    async def work() -> None:
        while not enough.is_set():
            until = time.perf_counter() + WORK_S
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    tasks = Tasks()
    tasks.start(work(), "work")
    yield enough
    enough.set()
    await tasks.close()


async def test_in_a_quiet_loop_it_comes_at_once() -> None:
    assert min([await waited(10.0) for _ in range(5)]) < AT_MOST_S


async def test_a_busy_loop_is_waited_for_so_long_and_no_longer(busy: asyncio.Event) -> None:
    assert AT_MOST_S <= await waited(AT_MOST_S) < 10 * AT_MOST_S


async def test_it_comes_when_the_loop_has_done_its_work(busy: asyncio.Event) -> None:
    waiting = asyncio.create_task(waited(60.0))
    asyncio.get_running_loop().call_later(AT_MOST_S, busy.set)
    assert AT_MOST_S <= await waiting < 30.0
