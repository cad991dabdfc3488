"""Calls that cost, with real media and short timers: their parties are online, and what they are told adds up with the
ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from app.ledger import Ledger
from app.settings import Settings
from schemas.call import CallState
from schemas.tariff import Tariff
from tests.conftest import Server, eventually
from tests.conversation import Conversation, conversation
from tests.integration.ws import Message, Person, person
from voiceplane.client.api import Api

UNIT_S = 1.0
INTERRUPTED_AFTER_S = 3.5  # a muted party is first proven by what else it sends two sweeps later
WINDOW_S = 3.0
NOTICED_WITHIN_S = 4.0  # after a limit: a check every 2 s at most, on a busy machine
PRICE = 100
POINTS = 10_000
KEPT_UP_S = INTERRUPTED_AFTER_S + 3.0  # a call that still talks after so long has not been interrupted
TIMERS = {"unit_seconds": UNIT_S, "interrupted_after_s": INTERRUPTED_AFTER_S, "reconnect_window_s": WINDOW_S}

MakeSettings = Callable[..., Settings]


@dataclass
class Scene:
    """A call on a node, between two people who are online. They talk, or are about to."""

    server: Server
    http: aiohttp.ClientSession
    admin: Api
    user: Person
    otomo: Person
    points: int
    call_id: str = "call"

    async def connected(self) -> None:
        await self.user.socket.until("call_connected", self.call_id)
        await self.otomo.socket.until("call_connected", self.call_id)

    async def charged(self, units: int) -> None:
        """Wait until so many units are in the ledger."""

        async def why_not() -> str | None:
            stored = (await self.server.ledger.billing(self.call_id)).units
            return f"{len(stored)} of {units} units are charged" if len(stored) < units else None

        await eventually(why_not, within_s=units * UNIT_S + 10)

    @property
    def state(self) -> str:
        call = self.server.registry.find(self.call_id)
        return call.state if call else "gone"

    async def ends(self, *reasons: str) -> Message:
        """Both are told of an end for one of these reasons, and all that they were told adds up with the ledger.

        Returns the payload of ``call_end``.
        """
        end = await self.user.socket.until("call_end", self.call_id)
        assert await self.otomo.socket.until("call_end", self.call_id) == end
        assert end["reason"] in reasons
        for who in (self.user, self.otomo):
            self.was_told_in_order(who)
        await self.adds_up(self.server.ledger, end)
        await eventually(lambda: self.call_id in self.server.registry and "the call is there")
        return end

    def was_told_in_order(self, who: Person) -> None:
        story = who.socket.story(self.call_id)
        ticks = who.socket.payloads("call_tick", self.call_id)
        assert who.socket.reads_in_order()
        assert story.count("call_connected") == story.count("call_end") == 1, story
        assert story[-1] == "call_end"
        told = [one for one in story if one in ("call_connected", "call_tick", "call_end")]
        assert told == ["call_connected", *["call_tick"] * len(ticks), "call_end"], story
        assert [tick["tickNumber"] for tick in ticks] == list(range(1, len(ticks) + 1))
        assert all(("userBalance" in tick) == (who is self.user) for tick in ticks)

    async def adds_up(self, ledger: Ledger, end: Message) -> None:
        """Units, totals, ticks, wallet and statement say the same."""
        ticks = self.user.socket.payloads("call_tick", self.call_id)
        stored, billing = await ledger.call(self.call_id), await ledger.billing(self.call_id)
        spent = sum(tick["chargedPoints"] for tick in ticks)
        assert [(unit.index, unit.points) for unit in billing.units] == [
            (tick["tickNumber"], tick["chargedPoints"]) for tick in ticks
        ]
        assert (stored.state, stored.end_reason) == (CallState.ENDED, end["reason"])
        assert spent == billing.total_points == stored.billed_points == end["totalChargedPoints"]
        assert stored.billed_units == len(ticks) <= stored.duration_seconds / UNIT_S
        assert stored.duration_seconds == end["durationSeconds"] == stored.talked_ms // 1000
        assert (await ledger.balance(self.user.user_id)).balance == self.points - spent
        assert sum(line.billed_points for line in (await ledger.usage(self.user.user_id)).items) == spent
        assert await ledger.audit() == ()


@asynccontextmanager
async def scene(
    server: Server, *, points: int = POINTS, call_id: str = "call", tariff: Tariff | None = None
) -> AsyncIterator[Scene]:
    """A call that is matched."""
    async with aiohttp.ClientSession() as http:
        admin = Api(http, server.base, server.token("root", "admin"))
        names = f"user-of-{call_id}", f"otomo-of-{call_id}"
        gift = {"amount": points, "reason": "gift", "idempotencyKey": call_id}
        await admin.request("POST", f"/admin/wallets/{names[0]}/adjust", gift)
        async with person(server, http, names[0], "user") as user, person(server, http, names[1], "otomo") as otomo:
            await admin.open_call(call_id, *names, tariff=tariff)
            yield Scene(server, http, admin, user, otomo, points, call_id)


@asynccontextmanager
async def talking(
    server: Server, *, points: int = POINTS, call_id: str = "call", tariff: Tariff | None = None
) -> AsyncIterator[tuple[Scene, Conversation]]:
    """A call in which both hear each other."""
    async with (
        scene(server, points=points, call_id=call_id, tariff=tariff) as made,
        conversation(made.user.api, made.otomo.api, call_id) as talk,
    ):
        await made.connected()
        await talk.heard()
        yield made, talk


def milliseconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() * 1000
