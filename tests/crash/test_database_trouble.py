"""A database in trouble under a call that talks: the call goes on for a grace, no unit is lost or doubled, and nobody
is told what is not stored."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace

import aiohttp
import pytest
from sqlalchemy import text

from app.calls.call import LiveCall
from app.client.api import Api
from app.client.errors import Refused
from app.client.party import Party
from app.keys import LIFECYCLE
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import CallState, NewEvent
from app.settings import Settings
from tests.conftest import Server, eventually, serving
from tests.crash.books import SQLITE, read_books
from tests.integration.ws import Client, connected
from tests.ledger.postgres_cluster import Cluster, running_cluster

UNIT_S = 0.5
PRICE = 7
POINTS = 100_000
TROUBLE_S = 5.0  # ten units long, and as long as the ledger waits for one transaction
SHORT_GRACE_S = 1.0
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Scene:
    """A node in this process, and what listens to it."""

    server: Server
    http: aiohttp.ClientSession
    admin: Api
    user: Client
    otomo: Client
    stack: AsyncExitStack

    async def talk(self) -> LiveCall:
        """A call that has been charged twice."""
        call = await self.open_call()
        await self.send()
        await self.user.until("call_tick", call.id, count=2)
        return call

    async def open_call(self) -> LiveCall:
        call_id = await self.admin.open_call("call", "user", "otomo", PRICE)
        return self.server.registry.call(call_id)

    async def send(self) -> None:
        for role in ("user", "otomo"):
            api = Api(self.http, self.server.base, self.server.token(role, role))
            party = await self.stack.enter_async_context(Party.joined(api, "call"))
            await party.send(440.0)

    async def goes_on_for(self, call: LiveCall, seconds: float) -> None:
        """Wait until both were heard that much later than now."""
        before = {user_id: life.last_rtp or 0.0 for user_id, life in call.lives.items()}

        def behind() -> list[str]:
            return [one for one, life in call.lives.items() if (life.last_rtp or 0.0) < before[one] + seconds]

        await eventually(behind, within_s=seconds + PATIENCE_S)
        assert call.state is CallState.TALKING

    async def refuses(self) -> None:
        """What can't be stored is not answered with a yes."""
        gift = {"amount": 1, "reason": "gift", "idempotencyKey": "refused"}
        with pytest.raises(Refused, match="503 DATABASE_UNAVAILABLE"):
            await self.admin.request("POST", "/admin/wallets/somebody/adjust", gift)

    async def says_who_is_ill(self) -> None:
        async with self.http.get(f"{self.server.base}/health/ready") as response:
            body = await response.json()
        assert response.status == 503
        assert [(check["name"], check["ok"]) for check in body["checks"]] == [("database", False), ("worker 0", True)]

    async def adds_up(self, call: LiveCall) -> None:
        """Every unit of the call's life was charged, when it was due, and told once it was stored; it has ended."""
        books = await read_books(self.server.ledger, ["user"])
        assert books.audit == ()
        stored, units = books.calls[call.id], books.units[call.id]
        assert call.connected_at is not None
        assert stored.connected_at_ms == call.connected_at.utc_ms
        assert [unit.index for unit in units] == list(range(1, len(units) + 1))
        slots = [(unit.charged_at_ms - stored.connected_at_ms) / (UNIT_S * 1000) for unit in units]
        assert slots == pytest.approx(range(1, len(units) + 1), abs=0.02)
        # A unit that falls due as the call ends may go either way.
        assert len(units) >= int((stored.ended_at_ms - stored.connected_at_ms) / 1000 / UNIT_S) - 1
        assert books.balances["user"] == POINTS - PRICE * len(units)
        for client in (self.user, self.otomo):
            ticks = client.payloads("call_tick", call.id)
            assert [tick["tickNumber"] for tick in ticks] == [unit.index for unit in units]
            assert client.story(call.id)[-1] == "call_end"
            assert client.reads_in_order()
            told = [one["seq"] for one in client.told]
            assert set(told) <= {event.seq for event in books.events}


@asynccontextmanager
async def staged(settings: Settings, grace_s: float | None = None) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(settings))
        if grace_s is not None:
            lifecycle = server.app[LIFECYCLE]
            lifecycle._timers = replace(lifecycle._timers, ledger_grace_s=grace_s)
            lifecycle.meter._grace_s = grace_s
        http = await stack.enter_async_context(aiohttp.ClientSession())
        admin = Api(http, server.base, server.token("root", "admin"))
        gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": "gift"}
        await admin.request("POST", "/admin/wallets/user/adjust", gift)
        user, otomo = [
            await stack.enter_async_context(connected(http, server.base, server.token(role, role)))
            for role in ("user", "otomo")
        ]
        yield Scene(server, http, admin, user, otomo, stack)


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[None]:
    """Somebody else holds SQLite's write lock."""
    with closing(sqlite3.connect(sqlite_file(scene), isolation_level=None, timeout=PATIENCE_S)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def full(scene: Scene) -> AsyncIterator[None]:
    """SQLite may not have one more page, and the events, of which every unit brings some, have filled theirs."""
    ledger = scene.server.ledger

    async def pragma(words: str) -> int:
        return int(await ledger._database.write(lambda tx: tx.scalar(text(f"PRAGMA {words}"))) or 0)

    await pragma(f"max_page_count = {await pragma('page_count')}")
    for size in (10_000, 1_000, 100, 0):
        with pytest.raises(LedgerUnavailable, match="full"):
            while True:
                await ledger.append_events([NewEvent("filling", {"text": "x" * size}, "nobody")], at_ms=0)
    yield
    await pragma("max_page_count = 1000000")


def sqlite_file(scene: Scene) -> str:
    return scene.server.settings.database_url.removeprefix(SQLITE)


Trouble = Callable[[Scene], AbstractAsyncContextManager[None]]


async def survives(scene: Scene, trouble: Trouble, *, pings_fail: bool = True) -> None:
    call = await scene.talk()
    async with trouble(scene):
        before = len(scene.user.payloads("call_tick", call.id))
        await scene.refuses()
        if pings_fail:
            await scene.says_who_is_ill()
        await scene.goes_on_for(call, TROUBLE_S)
        assert len(scene.user.payloads("call_tick", call.id)) <= before + 1, "the one whose commit was under way"
    await scene.user.until("call_tick", call.id, count=before + int(TROUBLE_S / UNIT_S))
    await scene.admin.request("POST", f"/admin/calls/{call.id}/end")
    for client in (scene.user, scene.otomo):
        assert (await client.until("call_end", call.id))["reason"] == "admin"
    await scene.adds_up(call)


@pytest.mark.parametrize(("trouble", "pings_fail"), [(locked, True), (full, False)])
async def test_a_call_goes_on_while_sqlite_takes_nothing(settings_with, trouble, pings_fail):
    async with staged(settings_with(unit_seconds=UNIT_S, rate_limit=0)) as scene:
        await survives(scene, trouble, pings_fail=pings_fail)


async def test_a_call_goes_on_while_postgresql_stands_still(settings_with):
    with running_cluster() as cluster:
        settings = settings_with(unit_seconds=UNIT_S, rate_limit=0, database_url=cluster.new_database())
        async with staged(settings) as scene:
            await survives(scene, lambda _: standing_still(cluster))


@asynccontextmanager
async def standing_still(cluster: Cluster) -> AsyncIterator[None]:
    with cluster.frozen():
        yield


async def test_after_the_grace_the_sound_ends_and_the_rest_is_stored_when_it_can_be(settings_with):
    async with staged(settings_with(unit_seconds=UNIT_S, rate_limit=0), SHORT_GRACE_S) as scene:
        call = await scene.talk()
        assert call.room is not None
        async with locked(scene):
            await eventually(lambda: not call.room.router.closed and "it sounds", within_s=PATIENCE_S)
            assert call.state is CallState.ENDING
            told = scene.user.payloads("call_end") + scene.otomo.payloads("call_end")
            assert told == [], "an end was told that is not stored"
        for client in (scene.user, scene.otomo):
            assert (await client.until("call_end", call.id))["reason"] == "system_error"
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
        await scene.user.until("call_tick", call.id, count=2)
        await scene.admin.request("POST", f"/admin/calls/{call.id}/end")
        for client in (scene.user, scene.otomo):
            await client.until("call_end", call.id)
        stored = await scene.server.ledger.call(call.id)
        assert stored.connected_at_ms == call.connected_at.utc_ms
        assert await scene.server.ledger.audit() == ()
