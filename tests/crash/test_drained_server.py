"""A node that is asked to stop while calls are live: they have their time first, unless it is asked again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest

from app.settings import Settings
from tests.crash.books import books_at
from tests.crash.killed_node import Node, started
from tests.crash.rounds import UNIT_S
from tests.integration.ws import Client, connected
from tests.party import Party
from voiceplane.client.errors import Refused

LONG_S = 60.0
TALK_S = 3.0
PRICE, POINTS = 10, 10_000
SHORT_S = 1.0
AT_ONCE_S = 5.0


@asynccontextmanager
async def live(settings: Settings, http: aiohttp.ClientSession) -> AsyncIterator[tuple[Node, list[Client]]]:
    """A node with a call in ``matched``, and the sockets of its parties."""
    async with started(settings) as node, AsyncExitStack() as stack:
        tokens = [node.token(role, role) for role in ("user", "otomo")]
        clients = [await stack.enter_async_context(connected(http, node.base, token)) for token in tokens]
        await node.api(http, "root", "admin").open_call("call", "user", "otomo", price_per_minute=0)
        yield node, clients


async def ends(clients: list[Client]) -> set[str]:
    return {(await client.until("call_end", "call"))["reason"] for client in clients}


async def test_calls_have_their_time_and_are_ended_after_it(own_settings, http):
    async with live(own_settings(drain_timeout_s=SHORT_S), http) as (node, clients):
        node.send_signal(signal.SIGTERM)
        [warned, _] = [await client.until("node_draining", "call") for client in clients]
        deadline = datetime.fromisoformat(warned["deadlineAt"])
        assert (await node.health(http))["status"] == "draining"
        assert await ends(clients) == {"system_error"}
        assert datetime.now(UTC) >= deadline
        assert await node.exit_code(AT_ONCE_S) == 0
        assert node.log("warning") + node.log("error") == []


async def test_a_node_stops_when_its_last_call_has_ended_by_itself(own_settings, http):
    async with live(own_settings(drain_timeout_s=LONG_S), http) as (node, clients):
        admin = node.api(http, "root", "admin")
        node.send_signal(signal.SIGTERM)
        await clients[0].until("node_draining", "call")
        with pytest.raises(Refused, match="503 DRAINING"):
            await admin.open_call("another", "a", "b")
        for method in ("POST", "DELETE"):
            with pytest.raises(Refused, match="503 DRAINING"):
                await admin.request(method, "/admin/drain")
        await node.api(http, "user", "user").request("POST", "/calls/call/end")
        assert await ends(clients) == {"manual"}
        assert await node.exit_code(AT_ONCE_S) == 0


async def test_who_talks_goes_on_talking_and_is_charged_until_the_deadline(own_settings, http):
    settings = own_settings(drain_timeout_s=TALK_S, price_per_minute=PRICE)
    async with started(settings) as node, AsyncExitStack() as stack:
        admin = node.api(http, "root", "admin")
        gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": "gift"}
        await admin.request("POST", "/admin/wallets/user/adjust", gift)
        client = await stack.enter_async_context(connected(http, node.base, node.token("user", "user")))
        await admin.open_call("call", "user", "otomo")
        for role in ("user", "otomo"):
            party = await stack.enter_async_context(Party.joined(node.api(http, role, role), "call"))
            await party.send(440.0)
        await client.until("call_tick", "call")
        node.send_signal(signal.SIGTERM)
        await client.until("node_draining", "call")
        before = len(client.payloads("call_tick", "call"))
        end = await client.until("call_end", "call")
        ticks = client.payloads("call_tick", "call")
        assert len(ticks) >= before + int(TALK_S / UNIT_S) - 1
        assert end["totalChargedPoints"] == PRICE * len(ticks)
        assert await node.exit_code(AT_ONCE_S) == 0
    books = await books_at(settings.database_url, ["user"])
    assert books.audit == ()
    assert books.balances["user"] == POINTS - PRICE * len(ticks)


async def test_a_second_signal_ends_at_once_and_nothing_is_lost(own_settings, http):
    settings = own_settings(drain_timeout_s=LONG_S)
    async with live(settings, http) as (node, clients):
        node.send_signal(signal.SIGTERM)
        await clients[0].until("node_draining", "call")
        node.send_signal(signal.SIGTERM)
        assert await ends(clients) == {"system_error"}
        assert await node.exit_code(AT_ONCE_S) == 0
    async with started(settings) as node:
        answer = await node.api(http, "root", "admin").request("GET", "/admin/recovery")
        assert answer == {"recovered": []}


async def test_without_calls_and_without_patience_nobody_is_waited_for(own_settings, http):
    async with started(own_settings(drain_timeout_s=LONG_S)) as idle:
        idle.send_signal(signal.SIGTERM)
        assert await idle.exit_code(AT_ONCE_S) == 0
    async with live(own_settings(drain_timeout_s=LONG_S), http) as (node, clients):
        node.send_signal(signal.SIGINT)
        assert await ends(clients) == {"system_error"}
        assert await node.exit_code(AT_ONCE_S) == 0
        assert clients[0].payloads("node_draining") == []
        await asyncio.gather(*(client.close() for client in clients))
