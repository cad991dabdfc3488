"""A party that is cancelled or refused at any stage leaves no task, no thread and no socket of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.conftest import eventually
from tests.conversation import conversation
from tests.integration.conftest import transports_in_worker
from tests.party import Party
from voiceplane.client.errors import Refused

NOBODYS_PRODUCER = "00000000-0000-4000-8000-000000000000"


def media_tasks() -> list[str]:
    """What aiortc, aioice and our tone receivers still do."""
    ours = ("aiortc", "aioice", "pymediasoup", "voiceplane/client")
    coros = [task.get_coro() for task in asyncio.all_tasks()]
    return [coro.__qualname__ for coro in coros if any(name in coro.cr_code.co_filename for name in ours)]


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "decoder" in thread.name]


async def talk_forever(call):
    async with conversation(call.user, call.otomo, call.call_id):
        await asyncio.Event().wait()


@pytest.mark.parametrize("transports", [1, 2, 3, 4])
async def test_a_cancelled_set_up_leaves_nothing(call, server, transports):
    async def too_early() -> str | None:
        there = await transports_in_worker(server)
        return f"{there} transports" if there < transports else None

    talking = asyncio.create_task(talk_forever(call))
    await eventually(too_early)
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
    await eventually(media_tasks, within_s=2)
    assert not decoders()


async def test_a_cancelled_talk_leaves_nothing(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard()
        assert decoders(), "this test must be able to see them"
        assert media_tasks()
    await eventually(media_tasks, within_s=2)
    assert not decoders()


async def test_a_refused_consume_leaves_nothing(call):
    async with Party.joined(call.user, call.call_id) as user:
        await user.send(440.0)
        with pytest.raises(Refused, match="404 PRODUCER_NOT_FOUND"):
            await user.receive(NOBODYS_PRODUCER)
    await eventually(media_tasks, within_s=2)
