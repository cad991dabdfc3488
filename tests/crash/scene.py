"""A node in this process, a call on it that really talks, and what its parties and the admins see of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest

from app.calls.call import LiveCall
from app.clock import now
from app.keys import LIFECYCLE
from app.settings import Settings
from schemas.call import CallState
from tests.conftest import Server, eventually, serving
from tests.crash.books import read_books
from tests.integration.ws import Client, connected
from tests.party import Party
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused

UNIT_S = 0.5
PRICE = 7
POINTS = 100_000
PATIENCE_S = 30.0
CATCHES_UP_WITHIN_S = 5.0


@dataclass(frozen=True)
class Scene:
    """A node, an admin, and the sockets of a user and an otomo."""

    server: Server
    http: aiohttp.ClientSession
    admin: Api
    user: Client
    otomo: Client
    stack: AsyncExitStack

    def api(self, user_id: str, role: str) -> Api:
        return Api(self.http, self.server.base, self.server.token(user_id, role))

    async def give(self, user_id: str, points: int = POINTS) -> None:
        gift = {"amount": points, "reason": "gift", "idempotencyKey": f"{user_id}-{points}"}
        await self.admin.request("POST", f"/admin/wallets/{user_id}/adjust", gift)

    async def open_call(self) -> LiveCall:
        call_id = await self.admin.open_call("call", "user", "otomo", PRICE)
        return self.server.registry.call(call_id)

    async def send(self) -> None:
        """Both send from now on."""
        for role in ("user", "otomo"):
            party = await self.stack.enter_async_context(Party.joined(self.api(role, role), "call"))
            await party.send(440.0)

    async def talk(self) -> LiveCall:
        """A call that has been charged twice."""
        call = await self.open_call()
        await self.send()
        await self.user.until("call_tick", call.id, count=2)
        return call

    async def goes_on_for(self, call: LiveCall, seconds: float) -> None:
        """Wait until both were heard that much later than now."""
        until = now().monotonic + seconds

        def silent() -> list[str]:
            return [one for one, liveness in call.liveness.items() if (liveness.last_proof or 0.0) < until]

        await eventually(silent, within_s=seconds + PATIENCE_S)
        assert call.state is CallState.TALKING

    async def catches_up(self, call: LiveCall) -> None:
        """Every unit that was due is told of, but perhaps the newest."""

        def behind() -> int:
            assert call.connected_at is not None
            due = int((now().monotonic - call.connected_at.monotonic) / UNIT_S)
            return max(0, due - 1 - len(self.user.payloads("call_tick", call.id)))

        await eventually(behind, within_s=CATCHES_UP_WITHIN_S)

    async def refuses(self) -> None:
        """What can't be stored is not answered with a yes."""
        with pytest.raises(Refused, match="503 DATABASE_UNAVAILABLE"):
            await self.give("somebody")

    async def says_what_is_ill(self) -> None:
        async with self.http.get(f"{self.server.base}/health/ready") as response:
            body = await response.json()
        assert response.status == 503
        ill = {check["name"] for check in body["checks"] if not check["ok"]}
        assert ill in ({"database_writer"}, {"database", "database_writer"})

    async def ended(self, call_id: str, reason: str) -> None:
        """Both hear the end, and why."""
        ends = await asyncio.gather(*(client.until("call_end", call_id) for client in (self.user, self.otomo)))
        assert [end["reason"] for end in ends] == [reason, reason]

    async def adds_up(self, call: LiveCall) -> None:
        """Every unit of the call's life was charged, when it was due, and told once it was stored; it has ended."""
        told = {event["seq"] for client in (self.user, self.otomo) for event in client.told}
        books = await read_books(self.server.ledger, ["user"])
        assert told <= {event.seq for event in books.events}
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
        user, otomo = [
            await stack.enter_async_context(connected(http, server.base, server.token(role, role)))
            for role in ("user", "otomo")
        ]
        scene = Scene(server, http, admin, user, otomo, stack)
        await scene.give("user")
        yield scene
