"""A commit whose answer came too late: what it stored is found again, and nobody stays in a call that is not there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from schemas.call import CallState
from tests.conftest import eventually
from tests.crash.scene import Scene, staged
from voiceplane.client.errors import Refused

LEDGER_TIMEOUT_S = 1.0


@asynccontextmanager
async def late_commit(scene: Scene, jobs: int) -> AsyncIterator[None]:
    """So many pieces of work that are begun in here are committed together, after whoever asked for them gave up."""
    database = scene.server.ledger._database
    database.queue.timeout_s = LEDGER_TIMEOUT_S
    begun, gathered, may_commit = threading.Event(), threading.Event(), threading.Event()

    def hold(until: threading.Event) -> None:
        begun.set()
        until.wait()

    before = asyncio.create_task(database.write(lambda _: hold(gathered)), name="what is committed before")
    behind = None
    try:
        await eventually(lambda: not begun.is_set() and "the writer is free")
        yield
        await eventually(lambda: len(database.queue.waiting) < jobs and f"{database.queue.waiting} wait")
        behind = asyncio.create_task(database.write(lambda _: hold(may_commit)), name="what is committed behind")
        await eventually(lambda: len(database.queue.waiting) <= jobs and "it does not wait yet")
        gathered.set()
        await asyncio.wait([behind])
    finally:
        gathered.set()
        may_commit.set()
        await asyncio.wait([task for task in (before, behind) if task is not None])


async def test_an_opening_whose_answer_was_lost_is_ended_again(settings_with):
    async with staged(settings_with(rate_limit=0)) as scene:
        request = {"otomoId": "otomo", "callId": "u_opens"}
        async with late_commit(scene, jobs=1):
            opening = asyncio.create_task(scene.api("user", "user").request("POST", "/calls", request))
        with pytest.raises(Refused, match="503 DATABASE_UNAVAILABLE"):
            await opening
        await scene.ended("u_opens", "system_error")
        assert scene.otomo.story("u_opens") == ["incoming_call", "call_end"]
        stored = await scene.server.ledger.call("u_opens")
        assert (stored.state, stored.end_reason) == (CallState.ENDED, "system_error")
        again = {"otomoId": "otomo", "callId": "u_again"}
        assert (await scene.api("user", "user").request("POST", "/calls", again))["state"] == "ringing"


async def test_an_accept_whose_answer_was_lost_can_be_repeated(settings_with):
    async with staged(settings_with(rate_limit=0)) as scene:
        await scene.api("user", "user").request("POST", "/calls", {"otomoId": "otomo", "callId": "u_rings"})
        otomo = scene.api("otomo", "otomo")
        async with late_commit(scene, jobs=1):
            accepting = asyncio.create_task(otomo.request("POST", "/calls/u_rings/accept"))
        with pytest.raises(Refused, match="503 DATABASE_UNAVAILABLE"):
            await accepting
        await scene.user.until("call_accepted", "u_rings")
        assert await otomo.request("POST", "/calls/u_rings/accept") == {"callId": "u_rings", "state": "matched"}
        await otomo.request("POST", "/calls/u_rings/end")
        await scene.ended("u_rings", "manual")
        assert scene.user.story("u_rings") == ["call_accepted", "call_end"]
