"""A node that is asked to stop while calls are live: they have their time first, unless it is asked again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from app.settings import Settings
from tests.conftest import eventually
from tests.conversation import conversation
from tests.crash.books import books_at
from tests.crash.killed_node import Node, started
from tests.crash.rounds import UNIT_S
from tests.integration.ws import Client, connected
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


async def drains(node: Node, http: aiohttp.ClientSession) -> None:
    async def why_not() -> str | None:
        status = (await node.health(http))["status"]
        return None if status == "draining" else f"it is {status}"

    await eventually(why_not)


async def ends(clients: list[Client]) -> set[str]:
    return {(await client.until("call_end", "call"))["reason"] for client in clients}


async def test_calls_have_their_time_and_are_ended_after_it(own_settings, http):
    async with live(own_settings(drain_timeout_s=SHORT_S), http) as (node, clients):
        signalled = time.monotonic()
        node.send_signal(signal.SIGTERM)
        await drains(node, http)
        assert await ends(clients) == {"system_error"}, "nobody talks in it yet, so no other process can go on with it"
        assert time.monotonic() - signalled >= SHORT_S
        assert await node.exit_code(AT_ONCE_S) == 0
        assert node.log("warning") + node.log("error") == []


async def test_a_node_stops_when_its_last_call_has_ended_by_itself(own_settings, http):
    async with live(own_settings(drain_timeout_s=LONG_S), http) as (node, clients):
        admin = node.api(http, "root", "admin")
        node.send_signal(signal.SIGTERM)
        await drains(node, http)
        with pytest.raises(Refused, match="503 DRAINING"):
            await admin.open_call("another", "a", "b")
        for method in ("POST", "DELETE"):
            with pytest.raises(Refused, match="503 DRAINING"):
                await admin.request(method, "/admin/drain")
        await node.api(http, "user", "user").request("POST", "/calls/call/end")
        assert await ends(clients) == {"manual"}
        assert await node.exit_code(AT_ONCE_S) == 0


async def test_who_talks_goes_on_talking_here_and_then_in_the_next_process(own_settings, http):
    """A planned restart: the same call, the same bill, and a gap in the sound."""
    settings = own_settings(drain_timeout_s=TALK_S, price_per_minute=PRICE, reconnect_window_s=LONG_S)
    async with started(settings) as node, AsyncExitStack() as stack:
        admin = node.api(http, "root", "admin")
        gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": "gift"}
        await admin.request("POST", "/admin/wallets/user/adjust", gift)
        client = await stack.enter_async_context(connected(http, node.base, node.token("user", "user")))
        await admin.open_call("call", "user", "otomo")
        await admin.open_call("not-connected", "user", "otomo")
        await stack.enter_async_context(
            conversation(*(node.api(http, role, role) for role in ("user", "otomo")), "call")
        )
        await client.until("call_tick", "call")
        node.send_signal(signal.SIGTERM)
        await drains(node, http)
        before = len(client.payloads("call_tick", "call"))
        told = await client.until("call_interrupted", "call")
        assert (told["reason"], told["userId"]) == ("moved", None)
        assert (await client.until("call_end", "not-connected"))["reason"] == "system_error"
        assert await node.exit_code(AT_ONCE_S) == 0
        assert client.payloads("call_end", "call") == []
        ticks = client.payloads("call_tick", "call")
        assert len(ticks) >= before + int(TALK_S / UNIT_S) - 2
        heard = client.told[-1]["seq"]
    async with started(settings) as node, AsyncExitStack() as stack:
        token = node.token("user", "user")
        client = await stack.enter_async_context(connected(http, node.base, token, since=heard))
        moved = await client.until("media_moved", "call")
        assert moved == {"callId": "call", "mediaEpoch": 2, "reason": "node_draining", "oldMediaUntil": None}
        apis = [node.api(http, role, role) for role in ("user", "otomo")]
        talk = await stack.enter_async_context(conversation(*apis, "call"))
        await talk.heard()
        back = await client.until("call_resumed", "call")
        await client.until("call_tick", "call", count=2)
        await apis[0].request("POST", "/calls/call/end")
        end = await client.until("call_end", "call")
        ticks += client.payloads("call_tick", "call")
        call = await apis[0].request("GET", "/calls/call")
        segments = (await node.api(http, "root", "admin").request("GET", "/admin/calls/call"))["segments"]
        assert (await node.api(http, "root", "admin").request("GET", "/admin/recovery")) == {"recovered": []}
    assert (end["reason"], end["totalChargedPoints"]) == ("manual", PRICE * len(ticks))
    assert [tick["tickNumber"] for tick in ticks] == list(range(1, len(ticks) + 1))
    assert call["interruptedSeconds"] == back["interruptedSeconds"]
    [line] = call["interruptions"]
    assert (line["reason"], line["since"]) == ("moved", told["since"])
    assert [(one["mediaEpoch"], one["reason"]) for one in segments] == [(1, None), (2, "node_draining")]
    assert segments[0]["node"] != segments[1]["node"], "each process has a name of its own"
    books = await books_at(settings.database_url, ["user"])
    assert books.audit == ()
    assert books.balances["user"] == POINTS - PRICE * len(ticks)
    stored = books.calls["call"]
    assert stored.talked_ms // (1000 * UNIT_S) - 1 <= len(ticks) <= stored.talked_ms // (1000 * UNIT_S)


async def test_a_second_signal_ends_at_once_and_nothing_is_lost(own_settings, http):
    settings = own_settings(drain_timeout_s=LONG_S)
    async with live(settings, http) as (node, clients):
        node.send_signal(signal.SIGTERM)
        await drains(node, http)
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
