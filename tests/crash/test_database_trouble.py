"""A database in trouble under a call that talks: the call goes on for a grace, no unit is lost or doubled, and nobody
is told what is not stored."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import pytest
from sqlalchemy import text

from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import NewEvent
from app.person import Person
from schemas.base import encode
from schemas.call import CallState
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.conftest import eventually
from tests.crash.books import SQLITE
from tests.crash.scene import PATIENCE_S, UNIT_S, Scene, staged

TROUBLE_S = 4.0  # eight units
SHORT_GRACE_S = 1.0
LEDGER_TIMEOUT_S = 1.0  # here and below, the real one would only make the test longer
LOCK_TIMEOUT_S = 0.5

Trouble = Callable[[Scene], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[None]:
    """Somebody else holds SQLite's write lock, for which the node waits not quite as long as it usually would."""
    await pragma(scene.server.ledger, f"busy_timeout = {round(LOCK_TIMEOUT_S * 1000)}")
    file = scene.server.settings.database_url.removeprefix(SQLITE)
    with closing(sqlite3.connect(file, isolation_level=None, timeout=PATIENCE_S)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def full(scene: Scene) -> AsyncIterator[None]:
    """SQLite may not have one more page, and the events, of which every unit brings some, have filled theirs."""
    ledger = scene.server.ledger
    await pragma(ledger, f"max_page_count = {await pragma(ledger, 'page_count')}")
    for size in (10_000, 1_000, 100, 0):
        while await fits(ledger, size):
            pass
    yield
    await pragma(ledger, "max_page_count = 1000000")


async def pragma(ledger: Ledger, words: str) -> int:
    return int(await ledger._database.write(lambda tx: tx.scalar(text(f"PRAGMA {words}"))) or 0)


async def fits(ledger: Ledger, size: int) -> bool:
    try:
        filling = NewEvent("filling", encode({"text": "x" * size}), Person("user", "nobody"))
        await ledger.append_events([filling], at_ms=0)
    except LedgerUnavailable as error:
        if "full" not in str(error):
            raise
        return False
    return True


@asynccontextmanager
async def standing_still(scene: Scene, cluster: Cluster) -> AsyncIterator[None]:
    """PostgreSQL's processes answer nothing, and its connections stay open."""
    scene.server.ledger._database._timeout_s = LEDGER_TIMEOUT_S
    with cluster.frozen():
        yield


async def survives(scene: Scene, trouble: Trouble, *, ping_fails: bool = True) -> None:
    call = await scene.talk()
    async with trouble(scene):
        before = len(scene.user.payloads("call_tick", call.id))
        await asyncio.gather(
            scene.refuses(), scene.goes_on_for(call, TROUBLE_S), *([scene.says_what_is_ill()] if ping_fails else [])
        )
        assert len(scene.user.payloads("call_tick", call.id)) <= before + 1, "the one whose commit was under way"
    await scene.catches_up(call)
    await scene.admin.request("POST", f"/admin/calls/{call.id}/end")
    await scene.ended(call.id, "admin")
    await scene.adds_up(call)


@pytest.mark.parametrize(("trouble", "ping_fails"), [(locked, True), (full, False)])
async def test_a_call_goes_on_while_sqlite_takes_nothing(settings_with, trouble, ping_fails):
    async with staged(settings_with(unit_seconds=UNIT_S, rate_limit=0)) as scene:
        await survives(scene, trouble, ping_fails=ping_fails)


async def test_a_call_goes_on_while_postgresql_stands_still(settings_with):
    with running_cluster() as cluster:
        settings = settings_with(unit_seconds=UNIT_S, rate_limit=0, database_url=cluster.new_database())
        async with staged(settings) as scene:
            await survives(scene, lambda scene: standing_still(scene, cluster))


async def test_after_the_grace_the_sound_ends_and_the_rest_is_stored_when_it_can_be(settings_with):
    async with staged(settings_with(unit_seconds=UNIT_S, rate_limit=0), SHORT_GRACE_S) as scene:
        call = await scene.talk()
        assert call.room is not None
        async with locked(scene):
            await eventually(lambda: not call.room.router.closed and "it sounds", within_s=PATIENCE_S)
            assert call.state is CallState.ENDING
            told = scene.user.payloads("call_end") + scene.otomo.payloads("call_end")
            assert told == [], "an end was told that is not stored"
        await scene.ended(call.id, "system_error")
        await scene.adds_up(call)
        await eventually(lambda: [one.id for one in scene.server.registry])


async def test_a_connection_that_cannot_be_stored_is_not_told_and_counts_from_its_first_packet(settings_with):
    async with staged(settings_with(unit_seconds=UNIT_S, rate_limit=0)) as scene:
        call = await scene.open_call()
        async with locked(scene):
            await scene.send()
            await eventually(lambda: call.connected_at is None and "no RTP came")
            await scene.refuses()
            assert call.state is not CallState.TALKING
            assert scene.user.payloads("call_connected") == []
        for client in (scene.user, scene.otomo):
            assert (await client.until("call_connected", call.id))["connectedAt"] == call.connected_at.iso
        await scene.catches_up(call)
        await scene.admin.request("POST", f"/admin/calls/{call.id}/end")
        await scene.ended(call.id, "admin")
        stored = await scene.server.ledger.call(call.id)
        assert stored.connected_at_ms == call.connected_at.utc_ms
        assert await scene.server.ledger.audit() == ()
