"""Events: a listener's failure is its own."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from tests.conftest import eventually
from worker_bridge.emitter import Emitter
from worker_bridge.errors import InvalidParameters

NAMES = frozenset({"close", "pause", "score"})


async def test_a_listener_that_raises_hurts_neither_the_next_nor_who_emits(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    def broken(_: int) -> None:
        raise ZeroDivisionError

    emitter = Emitter(NAMES)
    emitter.on("score", broken)
    emitter.on("score", heard.append)
    assert emitter.emit("score", 7)
    assert heard == [7]
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_a_coroutine_listener_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    emitter = Emitter(NAMES)
    emitter.on("close", broken)
    emitter.emit("close")
    await eventually(lambda: "nothing was logged" if not caplog.records else None)
    assert caplog.records[0].exc_info is not None


async def test_an_event_without_listeners_is_nothing_special(caplog: pytest.LogCaptureFixture) -> None:
    assert not Emitter(NAMES).emit("close", "REQUESTED")
    assert not caplog.records


async def test_a_failure_is_logged_after_all_listeners_were_taken_away(caplog: pytest.LogCaptureFixture) -> None:
    go_on = asyncio.Event()

    async def broken() -> None:
        await go_on.wait()
        raise ZeroDivisionError

    emitter = Emitter(NAMES)
    emitter.on("close", broken)
    emitter.emit("close")
    emitter.remove_all_listeners()
    go_on.set()
    await eventually(lambda: "nothing was logged" if not caplog.records else None)
    assert not emitter.emit("close")


async def test_who_listens_to_failures_hears_of_them_instead(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    failures: list[object] = []
    emitter = Emitter(NAMES)
    emitter.on("error", failures.append)
    emitter.on("pause", broken)
    emitter.emit("pause")
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    assert not caplog.records


def test_an_emitter_that_nobody_holds_is_gone_at_once() -> None:
    emitter = Emitter(NAMES)
    gone = weakref.ref(emitter)
    gc.disable()
    try:
        del emitter
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["scoer", "", 7, None, ["score"]])
def test_an_event_that_is_never_told_cannot_be_listened_to(name: str) -> None:
    emitter = Emitter(NAMES)
    for listen in (emitter.on, emitter.once, emitter.add_listener):
        with pytest.raises(InvalidParameters, match=r"^event: .* is none of close, pause, score$"):
            listen(name, print)
    with pytest.raises(InvalidParameters, match=r"^event: "):
        emitter.on(name)(print)
    assert not emitter.event_names()
