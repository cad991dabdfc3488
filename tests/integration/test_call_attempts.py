"""Calling costs attempts: by REST and by WebSocket, counted together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from tests.conftest import Server, serving
from tests.integration.ws import Person, person
from voiceplane.client.api import Api


@dataclass(frozen=True)
class Lobby:
    """A user whose calls are free, and otomos who are all online."""

    server: Server
    http: aiohttp.ClientSession
    user: Person
    otomos: tuple[Person, ...]

    async def ring_and_cancel(self, otomo_id: str) -> None:
        call = await self.user.api.request("POST", "/calls", {"otomoId": otomo_id})
        await self.user.api.request("POST", f"/calls/{call['callId']}/cancel")


@asynccontextmanager
async def lobby(settings, otomos: int) -> AsyncIterator[Lobby]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(settings))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        user = await stack.enter_async_context(person(server, http, "user", "user"))
        called = [
            await stack.enter_async_context(person(server, http, f"otomo-{number}", "otomo"))
            for number in range(otomos)
        ]
        yield Lobby(server, http, user, tuple(called))


async def test_the_same_otomo_is_rung_three_times_a_minute(settings_with):
    async with lobby(settings_with(price_per_minute=0), 2) as here:
        for _ in range(3):
            await here.ring_and_cancel("otomo-0")
        headers = {"Authorization": f"Bearer {here.server.token('user', 'user')}"}
        async with here.http.post(here.server.url("/calls"), json={"otomoId": "otomo-0"}, headers=headers) as response:
            assert response.status == 429
            assert 55 <= int(response.headers["Retry-After"]) <= 60
            assert await response.json() == {
                "error": "CALL_LIMIT_EXCEEDED",
                "message": "発信回数の上限に達しました。",
            }
        answer = await here.user.socket.command("call_request", otomoId="otomo-0")
        assert answer["payload"]["code"] == "CALL_LIMIT_EXCEEDED"
        assert 55 <= answer["payload"]["context"]["retryAfterSeconds"] <= 60
        await here.ring_and_cancel("otomo-1")
        calls = (await here.user.api.request("GET", "/calls"))["calls"]
        assert [call["otomoId"] for call in calls] == ["otomo-1", "otomo-0", "otomo-0", "otomo-0"]


async def test_a_caller_rings_ten_times_a_minute_and_what_was_refused_does_not_count(settings_with):
    async with lobby(settings_with(price_per_minute=0), 11) as here:
        for number in range(10):
            asked = {"otomoId": f"otomo-{number}", "callId": f"u_{number}"}
            await here.user.api.request("POST", "/calls", asked)
            again = await here.user.refused("POST", "/calls", {"otomoId": "otomo-10"})
            assert again == ((409, "CALLER_BUSY") if number < 9 else (429, "CALL_LIMIT_EXCEEDED"))
            await here.user.api.request("POST", f"/calls/u_{number}/cancel")
        assert await here.user.refused("POST", "/calls", {"otomoId": "otomo-10"}) == (429, "CALL_LIMIT_EXCEEDED")
        assert await here.user.refused("POST", "/calls", {"otomoId": "nobody"}) == (429, "CALL_LIMIT_EXCEEDED")
        admin = Api(here.http, here.server.base, here.server.token("root", "admin"))
        await admin.request("POST", "/admin/calls", {"userId": "user", "otomoId": "otomo-10"})


@pytest.mark.parametrize(
    "limits", [{"call_attempts_per_pair": 5}, {"call_attempts_per_minute": 5, "call_attempts_per_pair": 0}]
)
async def test_the_settings_say_how_often(settings_with, limits):
    async with lobby(settings_with(price_per_minute=0, **limits), 1) as here:
        for _ in range(5):
            await here.ring_and_cancel("otomo-0")
        assert await here.user.refused("POST", "/calls", {"otomoId": "otomo-0"}) == (429, "CALL_LIMIT_EXCEEDED")
