"""Events reach every listener and every stream, in their order, whatever one of them does."""

from __future__ import annotations

import asyncio
from typing import Any

from voiceplane.client.emitter import Emitter


async def test_each_listener_hears_until_it_is_taken_away():
    emitter: Emitter[int] = Emitter()
    heard: list[tuple[str, int]] = []
    leave = emitter.add("number", lambda event: heard.append(("first", event)))
    emitter.add("number", lambda event: heard.append(("second", event)))
    emitter.tell("number", 1)
    leave()
    leave()
    emitter.tell("number", 2)
    emitter.tell("other", 3)
    assert heard == [("first", 1), ("second", 1), ("second", 2)]


async def test_a_listener_that_fails_is_reported_and_keeps_nothing_from_the_others():
    emitter: Emitter[int] = Emitter()
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    heard: list[int] = []

    async def late(event: int) -> None:
        raise ValueError(event)

    emitter.add("number", lambda event: 1 // 0)
    emitter.add("number", late)
    emitter.add("number", heard.append)
    emitter.tell("number", 7)
    await emitter.quiet()
    assert heard == [7]
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError, ValueError]
    assert "'number'" in reported[0]["message"]


async def test_a_stream_has_everything_from_its_beginning_to_the_end():
    emitter: Emitter[int] = Emitter()
    emitter.tell("number", 0)
    stream = emitter.stream()
    for number in (1, 2):
        emitter.tell("number", number)
    emitter.close()
    assert [number async for number in stream] == [1, 2]


async def test_a_stream_that_nobody_reads_any_more_is_let_go_of():
    emitter: Emitter[int] = Emitter()
    stream = emitter.stream()
    emitter.tell("number", 1)
    assert await anext(stream) == 1
    del stream
    assert len(emitter._streams) == 0
