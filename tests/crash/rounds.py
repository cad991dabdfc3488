"""Rounds of calls that end with the node's death: each has a call in every stage of its life, and is judged afterwards.

The people are the same in every round, and so are their wallets; their sockets go on with ``since`` where the last ones
broke off, so that at the end each has heard everything, once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from msgspec import json

from app.person import Person as Someone
from app.settings import Settings
from app.watch.sweeper import SWEEP_EVERY_S
from app.watch.watch import PROVE_EVERY_S
from schemas.tariff import Tariff
from tests.conversation import OTOMO_HZ, USER_HZ
from tests.crash.books import Books, books_at, books_left_at, discrepancies
from tests.crash.killed_node import Node, started
from tests.integration.ws import Client, Message, connected
from tests.party import Party
from voiceplane.client.api import Api
from voiceplane.client.errors import Unreachable

START_POINTS = 1_000_000
UNIT_S = 0.5
PRICE = 7
TARIFFS = (  # those of a round's calls, one after another
    Tariff(unit_seconds=UNIT_S, unit_points=PRICE),
    Tariff(unit_seconds=UNIT_S, unit_points=PRICE, charge="started"),
    Tariff(unit_seconds=UNIT_S, unit_points=PRICE, free_seconds=1),
    Tariff(unit_seconds=UNIT_S, unit_points=PRICE, minimum_units=4),
)
STAGES = ("ringing", "matched", "connecting", "talking", "ending")
HEARD_IN = ("ringing", "talking", "ending")  # the stages whose people have sockets
SPOKEN_IN = ("talking", "ending")

PROVEN_WITH_TICKS = round((PROVE_EVERY_S + 2 * SWEEP_EVERY_S) / UNIT_S)  # by then, a proof is stored
TALK_FOR_S = 6.0  # at most, from the last set-up to the kill
END_TAKES_S = 0.01  # about: the kill falls into the middle of an end
START_TAKES_S = 1.5  # about: some starts are killed too
CHANCE_TO_CONNECT = 0.8  # else the kill may come before the first RTP
CHANCE_OF_A_KILLED_START = 0.25
PATIENT_S = 60.0  # a window in which every start comes; a shorter one has to be too short for any


@dataclass
class Person:
    """Somebody through all rounds. ``heard`` is everything that any of their sockets said."""

    user_id: str
    role: str
    heard: list[Message] = field(default_factory=list)

    @asynccontextmanager
    async def online(self, node: Node, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
        since = self.heard[-1]["seq"] if self.heard else 0
        async with connected(http, node.base, node.token(self.user_id, self.role), since=since) as client:
            try:
                yield client
            finally:
                await client.close()
                self.heard += client.told


@dataclass(frozen=True)
class Death:
    """How a run ended, and what it left."""

    before: Books
    killed_at_ms: int
    workers_gone_s: float
    end_was_answered: bool
    start_killed: bool  # the next start was killed as well


@dataclass(frozen=True)
class Survived:
    """One kill, and what the next start made of it. ``wrong`` should be empty."""

    open_calls: int
    went_on: int  # of them
    units: int
    units_after: int
    proven: int  # calls of which a later RTP than the first was stored
    workers_gone_s: float
    ready_s: float
    start_killed: bool
    wrong: tuple[str, ...]


class Crowd:
    """A user and an otomo for each stage, and their calls on one folder and database."""

    def __init__(self, settings: Settings, chance: random.Random) -> None:
        self._settings = settings
        self._window_ms = round(1000 * settings.reconnect_window_s) if settings.reconnect_window_s >= PATIENT_S else 0
        self._chance = chance
        self._people = {
            name: Person(name, role) for stage in STAGES for role in ("user", "otomo") for name in (f"{role}-{stage}",)
        }
        self._users = [name for name, person in self._people.items() if person.role == "user"]
        self._round = 0

    async def survive(self, kills: int) -> AsyncIterator[Survived]:
        """Live and be killed so often; then everybody hears what they missed, and the node is asked to stop."""
        death: Death | None = None
        clock = asyncio.get_running_loop().time
        for number in range(kills + 1):
            began = clock()
            async with started(self._settings) as node, aiohttp.ClientSession() as http:
                if death is not None:
                    yield await self._examine(node, http, death, clock() - began)
                if number < kills:
                    self._round += 1
                    death = await self._live_and_be_killed(node, http)
                else:
                    await self._catch_up(node, http)

    # a life

    async def _live_and_be_killed(self, node: Node, http: aiohttp.ClientSession) -> Death:
        async with AsyncExitStack() as stack:
            listening = [person for person in self._people.values() if person.user_id.endswith(HEARD_IN)]
            sockets = {one.user_id: await stack.enter_async_context(one.online(node, http)) for one in listening}
            await self._begin_calls(node, http, stack)
            if self._chance.random() < CHANCE_TO_CONNECT:
                await sockets["user-talking"].until("call_connected", self._call("talking"))
            if self._round == 1:  # one life at least is long enough to be charged for, and to be proven
                await sockets["user-talking"].until("call_tick", self._call("talking"), count=PROVEN_WITH_TICKS)
            # Any moment has to do, so none is waited for.
            await asyncio.sleep(self._chance.uniform(0, TALK_FOR_S))
            ending = asyncio.create_task(self._end(self._api(node, http, "user-ending")), name="an end")
            await asyncio.sleep(self._chance.uniform(0, END_TAKES_S))
            workers_gone_s = await node.kill()
            end_was_answered = await ending
        before = await books_left_at(self._settings.database_url, self._users)
        start_killed = self._chance.random() < CHANCE_OF_A_KILLED_START
        if start_killed:
            async with started(self._settings, ready=False) as starting:
                await asyncio.sleep(self._chance.uniform(0, START_TAKES_S))
                await starting.kill()
        return Death(before, node.killed_at_ms, workers_gone_s, end_was_answered, start_killed)

    async def _begin_calls(self, node: Node, http: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        admin = node.api(http, "root", "admin")
        for user_id in self._users:  # the same key every time: it counts once
            gift = {"amount": START_POINTS, "reason": "gift", "idempotencyKey": user_id}
            await admin.request("POST", f"/admin/wallets/{user_id}/adjust", gift)
        asked = {"otomoId": "otomo-ringing", "callId": self._call("ringing")}
        await self._api(node, http, "user-ringing").request("POST", "/calls", asked)
        for number, stage in enumerate(STAGES[1:], self._round):
            tariff = TARIFFS[number % len(TARIFFS)]
            await admin.open_call(self._call(stage), f"user-{stage}", f"otomo-{stage}", tariff=tariff)
        await self._api(node, http, "user-connecting").create_transport(self._call("connecting"), "send")
        for stage in SPOKEN_IN:
            for name, hz in ((f"user-{stage}", USER_HZ), (f"otomo-{stage}", OTOMO_HZ)):
                joined = Party.joined(self._api(node, http, name), self._call(stage))
                await (await stack.enter_async_context(joined)).send(hz)

    async def _end(self, api: Api) -> bool:
        """Whether the node lived long enough to answer."""
        try:
            answer = await api.request("POST", f"/calls/{self._call('ending')}/end")
        except Unreachable:
            return False
        return bool(answer["state"] == "ended")

    def _call(self, stage: str) -> str:
        """Users' own ids begin so; an admin opens the others."""
        return f"{'u_' if stage == 'ringing' else ''}{stage}-{self._round}"

    def _api(self, node: Node, http: aiohttp.ClientSession, name: str) -> Api:
        return node.api(http, name, self._people[name].role)

    # what is left of it

    async def _examine(self, node: Node, http: aiohttp.ClientSession, death: Death, ready_s: float) -> Survived:
        before, after = death.before, await books_at(self._settings.database_url, self._users)
        going_on = before.going_on(self._window_ms)
        wrong = [
            *discrepancies(
                before,
                after,
                death.killed_at_ms,
                START_POINTS,
                self._window_ms,
                round(1000 * self._settings.unit_seconds),
            ),
            *self._told_too_early(before),
            *await self._said_wrongly(node, http, death),
        ]
        if death.end_was_answered and after.calls[self._call("ending")].end_reason != "manual":
            wrong.append(f"{self._call('ending')} was said to have ended, and is recovered")
        for call_id in sorted(going_on):
            await node.api(http, "root", "admin").request("POST", f"/admin/calls/{call_id}/end")
        connected = [call for call in before.calls.values() if call.connected_at_ms and call.id in before.open_calls()]
        return Survived(
            open_calls=len(before.open_calls()),
            went_on=len(going_on),
            units=before.unit_count(),
            units_after=after.unit_count(),
            proven=sum((call.proven_at_ms or 0) > (call.connected_at_ms or 0) for call in connected),
            workers_gone_s=death.workers_gone_s,
            ready_s=ready_s,
            start_killed=death.start_killed,
            wrong=tuple(wrong),
        )

    def _told_too_early(self, before: Books) -> Iterator[str]:
        """What somebody heard from the dead run, and it had not stored."""
        stored = {event.seq: event for event in before.events}
        for person in self._people.values():
            for message in person.heard:
                event = stored.get(message["seq"])
                if event is None or (event.type, json.decode(event.payload)) != (message["type"], message["payload"]):
                    yield f"{person.user_id} was told {message}, but stored is {event}"

    async def _said_wrongly(self, node: Node, http: aiohttp.ClientSession, death: Death) -> list[str]:
        """What the log and the admins' list do not say about the calls that were recovered."""
        answer = await node.api(http, "root", "admin").request("GET", "/admin/recovery")
        listed = {line["callId"] for line in answer["recovered"]}
        over = death.before.open_calls() - death.before.going_on(self._window_ms)
        wrong = [f"{call_id} is not listed as recovered" for call_id in over - listed]
        if not death.start_killed:  # else the start that was killed said it, if it came so far
            warned = " ".join(node.log("warning"))
            wrong += [f"the log does not name {one}" for one in death.before.open_calls() if one not in warned]
        return wrong

    async def _catch_up(self, node: Node, http: aiohttp.ClientSession) -> None:
        """A last call goes well, and everybody has heard all that was for them: each thing once, in its order."""
        async with AsyncExitStack() as stack:
            listening = [person for person in self._people.values() if person.user_id.endswith(HEARD_IN)]
            sockets = {one.user_id: await stack.enter_async_context(one.online(node, http)) for one in listening}
            self._round += 1
            await self._begin_calls(node, http, stack)
            for name in ("user-talking", "otomo-talking"):
                await sockets[name].until("call_tick", self._call("talking"))
            for call_id in map(self._call, STAGES):
                await node.api(http, "root", "admin").request("POST", f"/admin/calls/{call_id}/end")
            for name, client in sockets.items():
                end = await client.until("call_end", self._call(name.partition("-")[2]))
                assert end["reason"] == "admin"
        books = await books_at(self._settings.database_url, self._users)
        assert books.audit == ()
        for person in listening:
            heard = [message["seq"] for message in person.heard]
            due = books.seqs_for(Someone(person.role, person.user_id))
            assert heard == due[: len(heard)], f"{person.user_id} heard {heard}, and was to hear {due}"
            ends = [one["payload"]["callId"] for one in person.heard if one["type"] == "call_end"]
            mine = [call.id for call in books.calls.values() if person.user_id in (call.user_id, call.otomo_id)]
            assert sorted(ends) == sorted(mine)
