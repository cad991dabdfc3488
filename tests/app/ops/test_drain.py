"""Draining a node that has calls: what each mode does to them, and what their parties hear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime

import aiohttp
import pytest

from schemas.base import load
from schemas.call import CallState
from schemas.node import Drained
from schemas.signaling import EVENTS
from tests.app.ops.readiness import Balancer
from tests.conftest import Server, eventually
from tests.conversation import conversation
from tests.integration.conftest import open_call_on
from tests.integration.ws import Person, connected, person
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused

NOT_DRAINING = {"draining": False, "mode": None, "deadlineAt": None, "liveCalls": 0}
SOON_S = 1


class Stage:
    """A user and an otomo who are online, and an admin."""

    def __init__(self, server: Server, http: aiohttp.ClientSession, user: Person, otomo: Person) -> None:
        self.server, self.http = server, http
        self.user, self.otomo = user, otomo
        self.admin = Api(http, server.base, server.token("root", "admin"))

    async def ring(self, call_id: str) -> None:
        await self.admin.request("PUT", "/admin/rates/otomo", {"pricePerMinute": 0})
        await self.user.api.request("POST", "/calls", {"otomoId": "otomo", "callId": call_id})

    async def drain(self, **words: object) -> dict:
        answer = await self.admin.request("POST", "/admin/drain", words)
        load(Drained, answer)
        assert await self.admin.request("GET", "/admin/drain") == answer
        return answer

    async def both_hear(self, event: str, call_id: str, count: int = 1) -> list[dict]:
        told = [await one.socket.until(event, call_id, count=count) for one in (self.user, self.otomo)]
        for payload in told:
            load(EVENTS[event], payload)
        return told

    def state(self, call_id: str) -> str | None:
        call = self.server.registry.find(call_id)
        return call and call.state


@pytest.fixture
async def stage(server: Server, http: aiohttp.ClientSession) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        user = await stack.enter_async_context(person(server, http, "user", "user"))
        otomo = await stack.enter_async_context(person(server, http, "otomo", "otomo"))
        yield Stage(server, http, user, otomo)


async def test_ready_turns_with_a_drain_and_back_with_its_end(stage):
    balancer = Balancer(stage.http, stage.server.base)
    await balancer.turns(200, "the start")
    await stage.drain()
    body = await balancer.turns(503, "a drain began")
    assert body["status"] == "draining"
    assert await stage.admin.request("DELETE", "/admin/drain") == NOT_DRAINING
    await balancer.turns(200, "the drain was taken back")
    await stage.ring("u_taken")


async def test_waiting_without_a_deadline_ends_nothing_and_warns_nobody(stage):
    await stage.ring("u_call")
    assert await stage.drain(mode="wait") == {**NOT_DRAINING, "draining": True, "mode": "wait", "liveCalls": 1}
    await stage.otomo.api.request("POST", "/calls/u_call/accept")
    await stage.user.api.request("POST", "/calls/u_call/end")
    await stage.both_hear("call_end", "u_call")
    assert stage.user.socket.payloads("node_draining") == []
    assert (await stage.admin.request("GET", "/admin/drain"))["liveCalls"] == 0


async def test_what_is_left_at_the_deadline_is_ended_and_was_warned(stage):
    await stage.ring("u_call")
    answer = await stage.drain(mode="wait", deadlineSeconds=SOON_S)
    await stage.otomo.api.request("POST", "/calls/u_call/accept")
    for warning in await stage.both_hear("node_draining", "u_call"):
        assert warning == {"callId": "u_call", "deadlineAt": answer["deadlineAt"]}
    for end in await stage.both_hear("call_end", "u_call"):
        assert end["reason"] == "system_error"
        late = datetime.fromisoformat(end["endedAt"]) - datetime.fromisoformat(answer["deadlineAt"])
        assert 0 <= late.total_seconds() < 1
    assert stage.user.socket.story("u_call") == ["node_draining", "call_accepted", "call_end"]
    timeline = (await stage.admin.request("GET", "/calls/u_call"))["timeline"]
    assert [line["cause"] for line in timeline if line["type"] == "ending"] == ["the node is drained"]
    with pytest.raises(Refused, match="503 DRAINING"):
        await stage.ring("u_another")


async def test_ending_at_once_ends_every_call(stage):
    await stage.ring("u_rings")
    await stage.admin.open_call("matched", "a", "b", price_per_minute=0)
    await stage.drain(mode="end")
    for end in await stage.both_hear("call_end", "u_rings"):
        assert end["reason"] == "system_error"
    await eventually(lambda: len(stage.server.registry))
    assert (await stage.server.ledger.call("matched")).end_reason == "system_error"
    assert stage.user.socket.payloads("node_draining") == []


async def test_ending_by_a_deadline_lets_only_those_talk_on_who_talk(stage):
    talks = await open_call_on(stage.server, stage.http)
    async with conversation(talks.user, talks.otomo, talks.call_id) as talk:
        await talk.heard()
        await eventually(lambda: stage.state(talks.call_id) != CallState.TALKING and "nobody talks")
        await stage.ring("u_rings")
        await stage.drain(mode="end", deadlineSeconds=600)
        await stage.both_hear("call_end", "u_rings")
        assert stage.state(talks.call_id) == CallState.TALKING
        await stage.drain(mode="end", deadlineSeconds=0)
        await eventually(lambda: stage.state(talks.call_id))
    stored = await stage.server.ledger.call(talks.call_id)
    assert stored.end_reason == "system_error"
    assert await stage.server.ledger.audit() == ()


async def test_a_later_deadline_and_none_are_told_too_and_count(stage):
    await stage.ring("u_call")
    first = await stage.drain(deadlineSeconds=SOON_S)
    second = await stage.drain(deadlineSeconds=600)
    told = [await stage.both_hear("node_draining", "u_call", count) for count in (1, 2)]
    assert [one["deadlineAt"] for one, _ in told] == [first["deadlineAt"], second["deadlineAt"]]
    assert await stage.admin.request("DELETE", "/admin/drain") == {**NOT_DRAINING, "liveCalls": 1}
    for warning in await stage.both_hear("node_draining", "u_call", 3):
        assert warning["deadlineAt"] is None
    past = datetime.fromisoformat(first["deadlineAt"])
    await eventually(lambda: datetime.now(past.tzinfo) <= past and "the first deadline is to come")
    await stage.otomo.api.request("POST", "/calls/u_call/accept")
    assert stage.state("u_call") == CallState.MATCHED


async def test_a_warning_is_stored_before_it_is_told(stage):
    await stage.ring("u_call")
    await stage.drain(deadlineSeconds=600)
    await stage.both_hear("node_draining", "u_call")
    async with connected(stage.http, stage.server.base, stage.server.token("user", "user"), since=0) as again:
        assert (await again.until("node_draining", "u_call"))["deadlineAt"] is not None


@pytest.mark.parametrize("words", [{"mode": "now"}, {"deadlineSeconds": -1}, {"deadlineSeconds": 1.5}, {"until": 1}])
async def test_what_makes_no_sense_is_refused_and_drains_nothing(stage, words):
    with pytest.raises(Refused, match="400 BAD_REQUEST"):
        await stage.admin.request("POST", "/admin/drain", words)
    assert await stage.admin.request("GET", "/admin/drain") == NOT_DRAINING


async def test_only_admins_drain_look_and_take_back(stage):
    for method in ("POST", "GET", "DELETE"):
        assert await stage.user.refused(method, "/admin/drain") == (403, "FORBIDDEN")
