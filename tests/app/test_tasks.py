"""Background work: what fails is logged, what never ends begins again, and nothing outlives its owner."""

from __future__ import annotations

import asyncio

import pytest

from app import tasks as tasks_module
from app.tasks import Tasks
from tests.conftest import eventually


async def test_what_fails_is_logged_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("of no use")

    tasks = Tasks()
    task = tasks.start(fails(), "the work")
    await tasks.wait()
    assert isinstance(task.exception(), ValueError)
    assert "the work failed" in caplog.text


async def test_waiting_is_for_what_was_started_meanwhile_too() -> None:
    tasks, done = Tasks(), []

    async def first() -> None:
        tasks.start(second(), "second")
        done.append("first")

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    tasks.start(first(), "first")
    await tasks.wait()
    assert done == ["first", "second"]


async def test_what_is_kept_begins_again_until_it_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks_module, "BEGIN_AGAIN_S", 0.0)
    tasks, begun = Tasks(), 0

    async def loop() -> None:
        nonlocal begun
        begun += 1
        raise ValueError("of no use")

    tasks.keep(loop, "the loop")
    await eventually(lambda: begun < 3 and f"it began {begun} times")
    await tasks.close()
    at_the_end = begun
    await asyncio.sleep(0)
    assert begun == at_the_end
    assert "the loop failed, and begins again" in caplog.text
