"""Calls that go on through one death of their node after another: the same people, who follow their calls into each new
room, and the time for which they can have talked at most.

The media are the load generator's, which carries many calls at little cost.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from app.person import Person as Someone
from app.settings import Settings
from schemas.call import CallState
from tests.conftest import eventually
from tests.crash.books import Books, books_at
from tests.crash.killed_node import Node, started
from tests.integration.ws import Client, Message, connected
from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.loadtest import offer
from voiceplane.loadtest.engine import Engine
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.side import Side, both

PRICE, POINTS = 7, 1_000_000
LIVES_FOR_S = 7.0  # at most, from being ready to the kill; set-ups take a part of it
SET_UPS_AT_ONCE = 5  # as many handshakes as a small machine gets through at once
MOVED_WITHIN_S = 15.0
STORED_WITHIN_MS = 4000  # of what was talked before a death: stored every 2 s, from counts that come every second
PROVEN_WITHIN_MS = 2500  # before somebody hangs up: what no sweep has proven is free
CLOCKS_MS = 50  # by how much the wall clock may drift from the monotonic one in a life


@dataclass
class Somebody:
    """A party of one call through all lives of its node. ``heard`` is everything that its sockets said."""

    user_id: str
    role: str
    heard: list[Message] = field(default_factory=list)

    @asynccontextmanager
    async def online(self, node: Node, http: aiohttp.ClientSession) -> AsyncIterator[OnlineNow]:
        since = self.heard[-1]["seq"] if self.heard else 0
        token = node.token(self.user_id, self.role)
        async with connected(http, node.base, token, since=since) as socket:
            try:
                yield OnlineNow(self.user_id, node.api(http, self.user_id, self.role), socket)
            finally:
                await socket.close()
                self.heard += socket.told


@dataclass(frozen=True)
class OnlineNow:
    """A party in the present life of the node."""

    user_id: str
    api: Api
    socket: Client


Pair = tuple[OnlineNow, OnlineNow]


@dataclass
class LongCall:
    """``talks_since_ms`` is when its parties were set up in the present life, before which nobody was heard (UTC);
    ``most_ms`` is for how long they can have talked in former ones."""

    call_id: str
    user: Somebody
    otomo: Somebody
    talks_since_ms: int | None = None
    most_ms: int = 0
    lives: int = 0  # in which both heard each other

    async def follow(
        self,
        now: tuple[OnlineNow, OnlineNow],
        epoch: int,
        engine: Engine,
        capabilities: offer.Wire,
        stack: AsyncExitStack,
    ) -> None:
        """Make the media anew in the room with that number, and talk until both hear."""
        user, otomo = now
        if epoch > 1:
            await eventually(lambda: not_moved(user.socket, self.call_id, epoch), within_s=MOVED_WITHIN_S)
        sides = [Side(one, self.call_id, engine, capabilities, stack) for one in (user, otomo)]  # type: ignore[arg-type]
        receivers = await both(*sides)
        self.talks_since_ms = now_ms()
        engine.talk(receivers)
        await asyncio.gather(*(one.heard for one in receivers))
        self.lives += 1

    def stopped(self, at_ms: int) -> None:
        """Nobody talks any more: the node has died, or somebody has hung up."""
        if self.talks_since_ms is not None:
            self.most_ms += at_ms - self.talks_since_ms
            self.talks_since_ms = None


class LongCalls:
    """So many calls on one folder and database, each with people of its own."""

    def __init__(self, settings: Settings, engine: Engine, count: int, chance: random.Random) -> None:
        self._settings = settings
        self._engine = engine
        self._chance = chance
        self.starts = 0
        self.ready_s: list[float] = []
        self.calls = [
            LongCall(f"call-{one}", Somebody(f"user-{one}", "user"), Somebody(f"otomo-{one}", "otomo"))
            for one in range(count)
        ]

    async def outlive(self, deaths: int) -> Books:
        """Live and be killed at so many random moments; then talk, and hang up. Returns the books after that."""
        for number in range(deaths + 1):
            began = time.monotonic()
            async with started(self._settings) as node, aiohttp.ClientSession() as http:
                self.ready_s.append(time.monotonic() - began)
                self.starts += 1
                if number < deaths:
                    await self._live_and_be_killed(node, http)
                else:
                    await self._hang_up(node, http)
        return await books_at(self._settings.database_url, [call.user.user_id for call in self.calls])

    async def _live_and_be_killed(self, node: Node, http: aiohttp.ClientSession) -> None:
        async with AsyncExitStack() as stack:
            online = await self._come_online(node, http, stack)
            following = [asyncio.create_task(one) for one in await self._followed(node, http, online, stack)]
            if self.starts == 1:  # only what has been connected goes on
                await asyncio.gather(*following)
            await asyncio.sleep(self._chance.uniform(0, LIVES_FOR_S))  # any moment has to do, so none is waited for
            await node.kill()
            for call in self.calls:
                call.stopped(node.killed_at_ms)
            for one in following:
                one.cancel()
            for end in await asyncio.gather(*following, return_exceptions=True):
                if not isinstance(end, ClientError | LoadTestError | asyncio.CancelledError | None):
                    raise end

    async def _hang_up(self, node: Node, http: aiohttp.ClientSession) -> None:
        """They all talk, pay twice, and end their calls."""
        async with AsyncExitStack() as stack:
            online = await self._come_online(node, http, stack)
            await asyncio.gather(*await self._followed(node, http, online, stack))
            for user, _ in online:
                await user.socket.until("call_tick", count=2)
            for call, (user, otomo) in zip(self.calls, online, strict=True):
                await user.api.request("POST", f"/calls/{call.call_id}/end")
                call.stopped(now_ms())
                await otomo.socket.until("call_end", call.call_id)

    async def _come_online(self, node: Node, http: aiohttp.ClientSession, stack: AsyncExitStack) -> list[Pair]:
        return [
            (
                await stack.enter_async_context(call.user.online(node, http)),
                await stack.enter_async_context(call.otomo.online(node, http)),
            )
            for call in self.calls
        ]

    async def _followed(
        self, node: Node, http: aiohttp.ClientSession, online: list[Pair], stack: AsyncExitStack
    ) -> list[Coroutine[Any, Any, None]]:
        """What has each call talk in this life, a few set-ups at a time. The first life opens them."""
        admin = node.api(http, "root", "admin")
        capabilities, at_once = await admin.capabilities(), asyncio.Semaphore(SET_UPS_AT_ONCE)
        if self.starts == 1:
            for call in self.calls:
                gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": call.call_id}
                await admin.request("POST", f"/admin/wallets/{call.user.user_id}/adjust", gift)
                await admin.open_call(call.call_id, call.user.user_id, call.otomo.user_id, PRICE)

        async def follow(call: LongCall, pair: Pair) -> None:
            async with at_once:
                await call.follow(pair, self.starts, self._engine, capabilities, stack)

        return [follow(call, pair) for call, pair in zip(self.calls, online, strict=True)]

    # what is left of it

    def wrongs(self, books: Books) -> Iterator[str]:
        """One sentence for everything about these calls that should not be."""
        yield from books.audit
        for call in self.calls:
            yield from self._wrongs_of(call, books)
            for person in (call.user, call.otomo):
                heard = [message["seq"] for message in person.heard]
                due = books.seqs_for(Someone(person.role, person.user_id))
                if heard != due[: len(heard)]:
                    yield f"{person.user_id} heard {heard}, and was to hear {due}"

    def _wrongs_of(self, call: LongCall, books: Books) -> Iterator[str]:
        stored, units = books.calls[call.call_id], books.units[call.call_id]
        if (stored.state, stored.end_reason, stored.epoch) != (CallState.ENDED, "manual", self.starts):
            yield f"{call.call_id} is {stored.state}, {stored.end_reason}, in room {stored.epoch}"
        unit_ms = 1000 * self._settings.unit_seconds
        if not (stored.talked_ms - PROVEN_WITHIN_MS) // unit_ms <= len(units) <= stored.talked_ms // unit_ms:
            yield f"{call.call_id} talked for {stored.talked_ms} ms, and has {len(units)} units"
        if not call.most_ms - call.lives * STORED_WITHIN_MS <= stored.talked_ms <= call.most_ms + CLOCKS_MS:
            most = f"{call.most_ms} ms in {call.lives} lives"
            yield f"{call.call_id} talked for {stored.talked_ms} ms, and can have for {most}"
        ticks = [one["payload"]["tickNumber"] for one in call.user.heard if one["type"] == "call_tick"]
        if ticks != [unit.index for unit in units] or ticks != list(range(1, len(ticks) + 1)):
            yield f"{call.user.user_id} was told of {ticks}, charged were {units}"
        spent = sum(unit.points for unit in units)
        if spent != PRICE * len(units) or books.balances[call.user.user_id] != POINTS - spent:
            yield f"{call.user.user_id} has {books.balances[call.user.user_id]} points after {len(units)} units"


def not_moved(socket: Client, call_id: str, epoch: int) -> str | None:
    """Why the call's parties don't know yet that it has the room with that number."""
    told = [one["mediaEpoch"] for one in socket.payloads("media_moved", call_id)]
    return None if epoch in told else f"{call_id} moved to {told}, not to {epoch}"


def now_ms() -> int:
    return time.time_ns() // 1_000_000
