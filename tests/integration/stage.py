"""A node with people on it who call each other without media, and what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.conftest import Server, serving
from tests.integration.ws import Person, person
from voiceplane.client.api import Api

POINTS = 1000
PRICE = 100


@dataclass(frozen=True)
class Stage:
    """A node with an admin, a user who can pay, and an otomo; the latter two are online."""

    server: Server
    http: aiohttp.ClientSession
    admin: Api
    user: Person
    otomo: Person

    async def give(self, user_id: str, amount: int, key: str = "first") -> dict[str, object]:
        body = {"amount": amount, "reason": "gift", "idempotencyKey": f"{user_id}-{key}"}
        return await self.admin.request("POST", f"/admin/wallets/{user_id}/adjust", body)

    async def ring(self, call_id: str = "u_call") -> None:
        asked = {"otomoId": self.otomo.user_id, "callId": call_id}
        assert await self.user.api.request("POST", "/calls", asked) == {"callId": call_id, "state": "ringing"}

    async def accept(self, call_id: str = "u_call") -> None:
        answer = await self.otomo.api.request("POST", f"/calls/{call_id}/accept")
        assert answer == {"callId": call_id, "state": "matched"}

    async def both_hear_the_end(self, call_id: str = "u_call") -> dict[str, object]:
        """The payload of ``call_end``, the same for both."""
        end = await self.user.socket.until("call_end", call_id)
        assert await self.otomo.socket.until("call_end", call_id) == end
        return end

    async def timeline(self, call_id: str = "u_call") -> list[tuple[str, str]]:
        detail = await self.admin.request("GET", f"/calls/{call_id}")
        assert [step["at"] for step in detail["timeline"]] == sorted(step["at"] for step in detail["timeline"])
        return [(step["type"], step["cause"]) for step in detail["timeline"]]


@asynccontextmanager
async def staged(settings) -> AsyncIterator[Stage]:
    async with serving(settings) as server, aiohttp.ClientSession() as http:
        admin = Api(http, server.base, server.token("root", "admin"))
        async with person(server, http, "user", "user") as user, person(server, http, "otomo", "otomo") as otomo:
            stage = Stage(server, http, admin, user, otomo)
            await stage.give("user", POINTS)
            yield stage
            assert user.socket.reads_in_order()
            assert otomo.socket.reads_in_order()
        assert await server.ledger.audit() == ()
