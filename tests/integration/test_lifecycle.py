"""The life of a call without media: asked for, answered, ended, by REST and by WebSocket, and what both sides hear."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace

import aiohttp
import pytest

from app.calls import lifecycle as lifecycle_module
from app.keys import LIFECYCLE
from app.person import Person as Someone
from tests.conftest import Server, eventually, serving
from tests.integration.conftest import worker_holds_nothing
from tests.integration.ws import Person, connected, person
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused

POINTS = 1000
PRICE = 100
ROUNDS = 25


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


@pytest.fixture
async def stage(settings_with) -> AsyncIterator[Stage]:
    async with staged(settings_with(rate_limit=0, call_attempts_per_minute=0, call_attempts_per_pair=0)) as made:
        yield made


async def test_a_call_rings_is_accepted_and_ended(stage):
    await stage.ring()
    ringing = await stage.otomo.socket.until("incoming_call")
    assert (ringing["callId"], ringing["userId"], ringing["pricePerMinute"]) == ("u_call", "user", PRICE)
    assert ringing["createdAt"] < ringing["expiresAt"]
    await stage.accept()
    accepted = await stage.user.socket.until("call_accepted")
    assert {name: accepted[name] for name in accepted if name != "at"} == {
        "callId": "u_call",
        "userId": "user",
        "otomoId": "otomo",
    }
    answer = await stage.user.api.request("POST", "/calls/u_call/end", {"reason": "良い一日を"})
    assert answer == {"callId": "u_call", "state": "ended"}
    end = await stage.both_hear_the_end()
    assert {name: end[name] for name in end if name != "endedAt"} == {
        "callId": "u_call",
        "userId": "user",
        "otomoId": "otomo",
        "reason": "manual",
        "durationSeconds": 0,
        "totalChargedPoints": 0,
    }
    assert stage.user.socket.story("u_call") == ["call_accepted", "call_end"]
    assert stage.otomo.socket.story("u_call") == ["incoming_call", "call_accepted", "call_end"]
    assert await stage.timeline() == [
        ("requesting", "request"),
        ("ringing", "request"),
        ("matched", "accepted by otomo otomo"),
        ("ending", "良い一日を"),
        ("ended", "良い一日を"),
    ]
    await worker_holds_nothing(stage.server)


async def test_a_call_as_its_parties_read_it(stage):
    await stage.ring()
    asked = await stage.user.api.request("GET", "/calls/u_call")
    assert (asked["state"], asked["acceptedAt"], asked["connectedAt"], asked["endedAt"], asked["endReason"]) == (
        *("ringing", None, None, None, None),
    )
    await stage.accept()
    await stage.user.api.request("POST", "/calls/u_call/end")
    detail = await stage.otomo.api.request("GET", "/calls/u_call")
    assert (detail["state"], detail["endReason"], detail["connectedAt"]) == ("ended", "manual", None)
    assert detail["createdAt"] <= detail["acceptedAt"] <= detail["endedAt"]
    assert (detail["durationSeconds"], detail["billedUnits"], detail["billedPoints"]) == (0, 0, 0)
    assert (detail["endedBy"], detail["billedSeconds"], detail["worker"], detail["quality"]) == ("user", 0, 0, [])
    page = await stage.user.api.request("GET", "/calls")
    [listed] = page["calls"]
    assert listed == {name: detail[name] for name in listed}
    assert page["nextCursor"] is None
    billing = await stage.user.api.request("GET", "/calls/u_call/billing")
    assert billing == {"callId": "u_call", "units": [], "totalPoints": 0}


@pytest.mark.parametrize(("command", "event"), [("reject", "call_rejected"), ("cancel", "call_cancelled")])
async def test_a_ringing_call_is_rejected_or_cancelled(stage, command, event):
    await stage.ring()
    who = stage.otomo if command == "reject" else stage.user
    answer = await who.api.request("POST", f"/calls/u_call/{command}", {"reason": "later"})
    assert answer == {"callId": "u_call", "state": "ended"}
    assert (await stage.both_hear_the_end())["reason"] == event.removeprefix("call_")
    for listener in (stage.user, stage.otomo):  # who did it has other devices
        assert listener.socket.story("u_call")[-2:] == [event, "call_end"]
        assert listener.socket.payloads(event)[0]["reason"] == "later"
    assert [step for step, _ in await stage.timeline()] == ["requesting", "ringing", "ending", "ended"]


async def test_nobody_answers(settings_with):
    async with staged(settings_with(ring_timeout_s=0.3)) as stage:
        await stage.ring()
        assert (await stage.both_hear_the_end())["reason"] == "timeout"
        assert await stage.otomo.refused("POST", "/calls/u_call/accept") == (409, "INVALID_CALL_STATE")
        await stage.ring("u_second")


async def test_an_accepted_call_without_sound_times_out_and_its_room_is_gone(settings_with):
    async with staged(settings_with(setup_timeout_s=0.5)) as stage:
        await stage.ring()
        await stage.accept()
        await stage.user.api.create_transport("u_call", "send")
        end = await stage.both_hear_the_end()
        assert (end["reason"], end["durationSeconds"], end["totalChargedPoints"]) == ("timeout", 0, 0)
        assert [step for step, _ in await stage.timeline()][2:] == ["matched", "connecting", "ending", "ended"]
        await eventually(lambda: len(stage.server.registry) and "the call is there")
        await worker_holds_nothing(stage.server)


async def test_who_may_do_what_in_which_state(stage):
    forbidden, not_now, unknown = (403, "FORBIDDEN"), (409, "INVALID_CALL_STATE"), (404, "CALL_NOT_FOUND")
    async with person(stage.server, stage.http, "stranger", "user") as stranger:
        commands = ("accept", "reject", "cancel", "end")

        async def answers(who: Person, *asked: str) -> list[tuple[int, str]]:
            return [await who.refused("POST", f"/calls/u_call/{command}") for command in asked or commands]

        assert await answers(stranger) == [unknown] * 4
        await stage.ring()
        assert await answers(stranger) == [forbidden] * 4
        assert await answers(stage.user, "accept", "reject", "end") == [forbidden, forbidden, not_now]
        assert await answers(stage.otomo, "cancel", "end") == [forbidden, not_now]
        await stage.accept()
        assert await answers(stranger) == [forbidden] * 4
        assert await answers(stage.user, "accept", "reject", "cancel") == [forbidden, forbidden, not_now]
        assert await answers(stage.otomo, "reject", "cancel") == [not_now, forbidden]
        assert stage.server.registry.call("u_call").state == "matched", "a refused command changes nothing"
        await stage.otomo.api.request("POST", "/calls/u_call/end")
        assert await answers(stranger) == [forbidden] * 4
        assert await answers(stage.user) == [not_now] * 4
        assert await answers(stage.otomo, "reject", "cancel") == [not_now] * 2
        for path in ("/calls/u_call", "/calls/u_call/billing"):
            assert await stranger.refused("GET", path) == forbidden
        assert (await stranger.api.request("GET", "/calls"))["calls"] == []


async def test_who_can_be_called_by_whom(stage):
    async def asked(who: Person, otomo_id: str, call_id: str = "u_another") -> tuple[int, str]:
        return await who.refused("POST", "/calls", {"otomoId": otomo_id, "callId": call_id})

    async with (
        person(stage.server, stage.http, "poor", "user") as poor,
        person(stage.server, stage.http, "other", "otomo") as other,
    ):
        await stage.give("poor", PRICE - 1)
        assert await asked(stage.user, "nobody") == (409, "OTOMO_OFFLINE")
        assert await asked(stage.user, "poor") == (404, "OTOMO_NOT_FOUND")
        assert await asked(stage.user, "user") == (404, "OTOMO_NOT_FOUND"), "who is there is a user"
        assert await asked(other, "otomo") == (403, "FORBIDDEN")
        assert await asked(poor, "otomo") == (402, "INSUFFICIENT_POINTS")
        await stage.ring()
        assert await asked(poor, "otomo") == (409, "OTOMO_BUSY")
        assert await asked(stage.user, "other") == (409, "CALLER_BUSY")
        await stage.give("poor", 1, "second")
        assert await asked(poor, "other", "u_call") == (409, "INVALID_CALL_STATE"), "that id is taken"
        await stage.user.api.request("POST", "/calls/u_call/cancel")
        assert await asked(poor, "other", "u_call") == (409, "INVALID_CALL_STATE"), "for ever"
        assert (await poor.api.request("POST", "/calls", {"otomoId": "other"}))["state"] == "ringing"
    await eventually(
        lambda: not stage.server.registry.busy(Someone("user", "poor")) and "it rings on until somebody ends it"
    )


async def test_a_user_without_a_wallet_can_only_make_free_calls(stage):
    async with person(stage.server, stage.http, "new", "user") as new:
        assert await new.refused("POST", "/calls", {"otomoId": "otomo"}) == (402, "INSUFFICIENT_POINTS")
        await stage.admin.request("PUT", "/admin/rates/otomo", {"pricePerMinute": 0})
        assert (await new.api.request("POST", "/calls", {"otomoId": "otomo", "callId": "u_free"}))["state"] == "ringing"
        await new.api.request("POST", "/calls/u_free/cancel")


async def test_the_same_by_websocket_commands(stage):
    user, otomo = stage.user.socket, stage.otomo.socket

    def ack(command: str, state: str, call_id: str = "u_call") -> tuple[str, dict[str, str]]:
        return f"{command}_ack", {"callId": call_id, "state": state}

    async def said(who, command: str, **payload: str) -> tuple[str, dict[str, str]]:
        answer = await who.command(command, **payload)
        return answer["type"], answer["payload"]

    async def refusal(who, command: str, **payload: str) -> tuple[str, str]:
        kind, payload = await said(who, command, **payload)
        assert kind == "error", payload
        return payload["code"], payload["context"].get("callId")

    assert await said(user, "call_request", otomoId="otomo", callId="u_call") == ack("call_request", "ringing")
    assert await refusal(user, "call_accept", callId="u_call") == ("FORBIDDEN", "u_call")
    assert await refusal(user, "call_end", callId="u_call") == ("INVALID_CALL_STATE", "u_call")
    assert await refusal(otomo, "call_cancel", callId="u_call") == ("FORBIDDEN", "u_call")
    assert await refusal(user, "call_request", otomoId="otomo") == ("OTOMO_BUSY", None)
    assert await refusal(user, "call_end", callId="none") == ("CALL_NOT_FOUND", "none")
    assert await said(otomo, "call_accept", callId="u_call") == ack("call_accept", "matched")
    assert await refusal(user, "call_cancel", callId="u_call") == ("INVALID_CALL_STATE", "u_call")
    assert await said(otomo, "call_end", callId="u_call", reason="bye") == ack("call_end", "ended")
    assert (await stage.both_hear_the_end())["reason"] == "manual"
    for call_id, who, command, reason in (
        ("u_second", otomo, "call_reject", "rejected"),
        ("u_third", user, "call_cancel", "cancelled"),
    ):
        assert await said(user, "call_request", otomoId="otomo", callId=call_id) == ack(
            "call_request", "ringing", call_id
        )
        assert await said(who, command, callId=call_id) == ack(command, "ended", call_id)
        assert (await stage.both_hear_the_end(call_id))["reason"] == reason


async def test_users_follow_the_otomos_status(stage):
    async def statuses(count: int) -> list[str]:
        await stage.user.socket.until("otomo_status", count=count)
        return [told["status"] for told in stage.user.socket.payloads("otomo_status")]

    assert await statuses(1) == ["online"]
    await stage.ring()
    assert await statuses(2) == ["online", "busy"]
    await stage.user.api.request("POST", "/calls/u_call/cancel")
    assert await statuses(3) == ["online", "busy", "online"]
    await stage.otomo.socket.close()
    assert await statuses(4) == ["online", "busy", "online", "offline"]
    assert stage.otomo.socket.payloads("otomo_status") == [], "otomos are not told of otomos"


async def test_a_client_that_comes_back_is_told_what_it_missed(stage):
    await stage.ring()
    await stage.otomo.socket.until("incoming_call")
    [ring] = [event for event in stage.otomo.socket.told if event["type"] == "incoming_call"]
    await stage.otomo.socket.close()
    await stage.user.api.request("POST", "/calls/u_call/cancel")
    token = stage.server.token("otomo", "otomo")
    async with connected(stage.http, stage.server.base, token, since=ring["seq"]) as again:
        await again.until("call_end")
        assert again.story("u_call") == ["call_cancelled", "call_end"]
        assert again.reads_in_order()


async def test_a_call_that_another_system_matched(stage):
    asked = {"userId": "user", "otomoId": "otomo", "callId": "call", "pricePerMinute": 7}
    assert await stage.user.refused("POST", "/admin/calls", asked) == (403, "FORBIDDEN")
    assert await stage.admin.request("POST", "/admin/calls", asked) == {"callId": "call", "state": "matched"}
    with pytest.raises(Refused, match="409 INVALID_CALL_STATE"):
        await stage.admin.request("POST", "/admin/calls", asked)
    await stage.user.api.create_transport("call", "send")
    await eventually(lambda: stage.server.registry.call("call").state != "connecting" and "it is still matched")

    async def not_noted() -> object:
        noted = [("matched", "admin"), ("connecting", "the first transport")]
        return (await stage.timeline("call")) != noted and "the first transport is not on the timeline"

    await eventually(not_noted)
    assert (await stage.admin.request("GET", "/calls/call"))["pricePerMinute"] == 7
    answer = await stage.admin.request("POST", "/admin/calls/call/end", {"reason": "misuse"})
    assert answer == {"callId": "call", "state": "ended"}
    assert (await stage.both_hear_the_end("call"))["reason"] == "admin"
    assert (await stage.timeline("call"))[-1] == ("ended", "misuse")
    await worker_holds_nothing(stage.server)


async def test_an_adjustment_counts_once(stage):
    assert (await stage.give("rich", 500))["balance"] == 500
    assert (await stage.give("rich", 500))["balance"] == 500
    with pytest.raises(Refused, match="409 IDEMPOTENCY_KEY_REUSED"):
        await stage.give("rich", 501)
    assert (await stage.give("rich", -200, "second"))["balance"] == 300
    with pytest.raises(Refused, match="402 INSUFFICIENT_POINTS"):
        await stage.give("rich", -301, "third")
    body = {"amount": 1, "reason": "gift", "idempotencyKey": "mine"}
    assert await stage.user.refused("POST", "/admin/wallets/user/adjust", body) == (403, "FORBIDDEN")
    answers = await asyncio.gather(*(stage.give("rich", 50, "at-once") for _ in range(10)))
    assert {answer["balance"] for answer in answers} == {350}
    async with person(stage.server, stage.http, "rich", "user") as rich:
        balance = await rich.api.request("GET", "/wallet/balance")
        assert (balance["userId"], balance["balance"]) == ("rich", 350)
        assert await rich.api.request("GET", "/wallet/usage") == {"usage": [], "nextCursor": None}
        await stage.give("rich", 1, "told")
        update = await rich.socket.until("wallet_update")
        assert (update["balance"], update["reason"]) == (351, "adjustment")
    assert await stage.otomo.refused("GET", "/wallet/balance") == (404, "WALLET_NOT_FOUND")


async def test_a_price_is_fixed_when_the_call_is_made(stage):
    await stage.admin.request("PUT", "/admin/rates/otomo", {"pricePerMinute": 250})
    await stage.ring()
    assert (await stage.otomo.socket.until("incoming_call"))["pricePerMinute"] == 250
    await stage.admin.request("PUT", "/admin/rates/otomo", {"pricePerMinute": 10})
    assert (await stage.user.api.request("GET", "/calls/u_call"))["pricePerMinute"] == 250
    await stage.user.api.request("POST", "/calls/u_call/cancel")
    await stage.ring("u_second")
    assert (await stage.user.api.request("GET", "/calls/u_second"))["pricePerMinute"] == 10
    assert await stage.user.refused("PUT", "/admin/rates/otomo", {"pricePerMinute": 0}) == (403, "FORBIDDEN")


async def test_history_comes_in_pages_newest_first(stage):
    call_ids = [f"u_call-{number}" for number in range(5)]
    for call_id in call_ids:
        await stage.ring(call_id)
        await stage.user.api.request("POST", f"/calls/{call_id}/cancel")
    await stage.admin.request("POST", "/admin/calls", {"userId": "a", "otomoId": "b", "callId": "of-others"})
    read: list[str] = []
    query = "?limit=2"
    while query:
        page = await stage.user.api.request("GET", f"/calls{query}")
        assert len(page["calls"]) <= 2
        read += [call["callId"] for call in page["calls"]]
        query = page["nextCursor"] and f"?limit=2&cursor={page['nextCursor']}"
    assert read == call_ids[::-1]
    everything = await stage.admin.request("GET", "/calls")
    assert [call["callId"] for call in everything["calls"]] == ["of-others", *call_ids[::-1]]
    for wrong in ("limit=0", "limit=201", "limit=x", "cursor=x"):
        assert await stage.user.refused("GET", f"/calls?{wrong}") == (400, "BAD_REQUEST")


async def test_a_draining_node_lets_calls_go_on_and_takes_no_new_ones(stage):
    await stage.ring()
    assert await stage.user.refused("POST", "/admin/drain") == (403, "FORBIDDEN")
    drain = {"draining": True, "mode": "wait", "deadlineAt": None, "liveCalls": 1}
    assert await stage.admin.request("POST", "/admin/drain") == drain
    async with stage.http.get(stage.server.url("/health/ready")) as ready:
        assert (ready.status, (await ready.json())["status"]) == (503, "draining")
    await stage.accept()
    async with person(stage.server, stage.http, "other", "otomo"), person(stage.server, stage.http, "u", "user") as u:
        await stage.give("u", POINTS)
        assert await u.refused("POST", "/calls", {"otomoId": "other"}) == (503, "DRAINING")
        with pytest.raises(Refused, match="503 DRAINING"):
            await stage.admin.request("POST", "/admin/calls", {"userId": "u", "otomoId": "other"})
    assert stage.server.registry.call("u_call").state == "matched"
    await stage.user.api.request("POST", "/calls/u_call/end")


async def outcomes(*asked) -> list[str]:
    """The code of each refusal, and ``ok`` for what succeeded, of requests made at the same moment."""
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, dict | Refused) for one in found), found
    return ["ok" if isinstance(one, dict) else one.code for one in found]


async def test_of_an_accept_and_a_cancel_one_succeeds(stage):
    seen = set()
    for number in range(ROUNDS):
        call_id = f"u_call-{number}"
        await stage.ring(call_id)
        asked = [
            stage.otomo.api.request("POST", f"/calls/{call_id}/accept"),
            stage.user.api.request("POST", f"/calls/{call_id}/cancel"),
        ]
        accepted, cancelled = (await outcomes(*asked[:: 1 if number % 2 else -1]))[:: 1 if number % 2 else -1]
        assert sorted((accepted, cancelled)) == ["INVALID_CALL_STATE", "ok"]
        seen.add(accepted)
        if accepted == "ok":
            await stage.user.api.request("POST", f"/calls/{call_id}/end")
        end = await stage.both_hear_the_end(call_id)
        assert end["reason"] == ("manual" if accepted == "ok" else "cancelled")
        story = ["call_accepted" if accepted == "ok" else "call_cancelled", "call_end"]
        assert stage.user.socket.story(call_id) == story
    assert seen <= {"ok", "INVALID_CALL_STATE"}
    await worker_holds_nothing(stage.server)


@pytest.mark.parametrize("rival", ["the otomo", "an admin", "the cleanup"])
async def test_of_two_who_end_a_call_one_succeeds(stage, rival):
    for number in range(ROUNDS):
        call_id = f"u_call-{number}"
        await stage.ring(call_id)
        await stage.accept(call_id)
        mine = stage.user.api.request("POST", f"/calls/{call_id}/end")
        theirs = {
            "the otomo": lambda: stage.otomo.api.request("POST", f"/calls/{call_id}/end"),  # noqa: B023
            "an admin": lambda: stage.admin.request("POST", f"/admin/calls/{call_id}/end"),  # noqa: B023
            "the cleanup": lambda: stage.otomo.api.request("DELETE", f"/rtc/rooms/{call_id}/cleanup"),  # noqa: B023
        }[rival]()
        found = await outcomes(mine, theirs)
        assert found.count("ok") == 1 or (rival == "the cleanup" and found[0] == "ok"), found
        assert set(found) <= {"ok", "INVALID_CALL_STATE"}
        end = await stage.both_hear_the_end(call_id)
        assert end["reason"] == ("admin" if rival == "an admin" and found[1] == "ok" else "manual")
    assert stage.user.socket.payloads("call_end") == stage.otomo.socket.payloads("call_end")
    assert len(stage.user.socket.payloads("call_end")) == ROUNDS
    await worker_holds_nothing(stage.server)


async def test_of_two_who_ask_for_one_otomo_one_gets_her(stage):
    async with person(stage.server, stage.http, "rival", "user") as rival:
        await stage.give("rival", POINTS)
        for number in range(ROUNDS):
            ids = f"u_mine-{number}", f"u_theirs-{number}"
            found = await outcomes(
                stage.user.api.request("POST", "/calls", {"otomoId": "otomo", "callId": ids[0]}),
                rival.api.request("POST", "/calls", {"otomoId": "otomo", "callId": ids[1]}),
            )
            assert sorted(found) == ["OTOMO_BUSY", "ok"]
            winner = found.index("ok")
            await (stage.user, rival)[winner].api.request("POST", f"/calls/{ids[winner]}/cancel")
    assert len(stage.otomo.socket.payloads("incoming_call")) == ROUNDS, "the loser's call never rang"


async def test_of_two_who_ask_for_one_call_id_one_gets_it(stage):
    async with (
        person(stage.server, stage.http, "rival", "user") as rival,
        person(stage.server, stage.http, "other", "otomo"),
    ):
        await stage.give("rival", POINTS)
        for number in range(ROUNDS):
            call_id = f"u_call-{number}"
            found = await outcomes(
                stage.user.api.request("POST", "/calls", {"otomoId": "otomo", "callId": call_id}),
                rival.api.request("POST", "/calls", {"otomoId": "other", "callId": call_id}),
            )
            assert sorted(found) == ["INVALID_CALL_STATE", "ok"]
            winner = (stage.user, rival)[found.index("ok")]
            assert (await winner.api.request("GET", f"/calls/{call_id}"))["userId"] == winner.user_id
            await winner.api.request("POST", f"/calls/{call_id}/cancel")


async def test_who_was_refused_by_the_database_is_free_to_ask_again(stage, monkeypatch):
    monkeypatch.setattr(stage.server.ledger._database, "_timeout_s", 0.4)
    async with database_locked(stage):
        asked = {"otomoId": "otomo", "callId": "u_first"}
        assert await stage.user.refused("POST", "/calls", asked) == (503, "DATABASE_UNAVAILABLE")
        opened = {"userId": "user", "otomoId": "otomo", "callId": "second"}
        with pytest.raises(Refused, match="503 DATABASE_UNAVAILABLE"):
            await stage.admin.request("POST", "/admin/calls", opened)
    await eventually(lambda: len(stage.server.registry) and "what may have been stored is being ended")
    await worker_holds_nothing(stage.server)
    await stage.ring()
    await stage.user.api.request("POST", "/calls/u_call/cancel")
    await stage.both_hear_the_end()
    assert stage.otomo.socket.story("u_call") == ["incoming_call", "call_cancelled", "call_end"]
    assert await stage.server.ledger.open_calls() == ()


async def test_of_two_accepts_one_succeeds_and_one_room_is_open(stage):
    for number in range(5):
        call_id = f"u_call-{number}"
        await stage.ring(call_id)
        accept = [stage.otomo.api.request("POST", f"/calls/{call_id}/accept") for _ in range(2)]
        assert await outcomes(*accept) == ["ok", "ok"], "it is the same one who asks"
        assert len((await stage.server.worker_dump())["router_ids"]) == 1
        await stage.user.api.request("POST", f"/calls/{call_id}/end")
        assert stage.user.socket.story(call_id).count("call_accepted") == 1


@asynccontextmanager
async def database_locked(stage: Stage) -> AsyncIterator[None]:
    """Another process writes to the node's database meanwhile, and takes its time."""
    with closing(sqlite3.connect(stage.server.settings.data_dir / "voiceplane.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_of_an_accept_that_is_being_stored_and_a_cancel_one_succeeds(stage):
    [slot] = stage.server.pool.slots
    for command, who in (("cancel", stage.user), ("reject", stage.otomo)):
        call_id = f"u_{command}"
        await stage.ring(call_id)
        call = stage.server.registry.call(call_id)
        async with database_locked(stage):
            asked = [asyncio.create_task(stage.otomo.api.request("POST", f"/calls/{call_id}/accept"))]
            await eventually(lambda: slot.worker.load < 2 and "the room is not open")
            asked.append(asyncio.create_task(who.api.request("POST", f"/calls/{call_id}/{command}")))
            await eventually(lambda: not call.lock._waiters and "nobody waits for the accept")  # noqa: B023
        assert await outcomes(*asked) == ["ok", "INVALID_CALL_STATE"]
        assert call.state == "matched"
        await stage.user.api.request("POST", f"/calls/{call_id}/end")
        assert (await stage.both_hear_the_end(call_id))["reason"] == "manual"
        assert stage.user.socket.story(call_id) == ["call_accepted", "call_end"]


async def no_room(stage: Stage) -> str | None:
    """Why it can't be said that a room is open: the worker itself is asked."""
    return None if (await stage.server.worker_dump())["router_ids"] else "no room is open"


async def cut_off(stage: Stage, monkeypatch, asked: Coroutine[object, object, object]) -> tuple[int, str]:
    """What a request is answered with whose commit succeeds, but later than the node waits for it."""
    database, disk_is_free, disk_answers = stage.server.ledger._database, threading.Event(), threading.Event()
    monkeypatch.setattr(database, "_timeout_s", 0.4)
    busy = asyncio.create_task(database.write(lambda _: disk_is_free.wait()))
    await eventually(lambda: database._idle.is_set() and "nothing is being written")
    asking = asyncio.create_task(asked)
    await eventually(lambda: not database._waiting and "the request has nothing to write yet")
    slow = asyncio.create_task(database.write(lambda _: disk_answers.wait()))
    await eventually(lambda: len(database._waiting) < 2 and "they are not written together")
    disk_is_free.set()
    with pytest.raises(Refused) as refusal:
        await asking
    monkeypatch.undo()
    disk_answers.set()
    await asyncio.gather(busy, slow, return_exceptions=True)
    return refusal.value.status, refusal.value.code


async def test_an_accept_whose_storing_was_cut_off_succeeds_at_the_next_try(stage, monkeypatch):
    await stage.ring()
    accept = stage.otomo.api.request("POST", "/calls/u_call/accept")
    assert await cut_off(stage, monkeypatch, accept) == (503, "DATABASE_UNAVAILABLE")

    async def not_stored() -> str | None:
        state = (await stage.user.api.request("GET", "/calls/u_call"))["state"]
        return None if state == "matched" else f"it is {state}"

    await eventually(not_stored)
    await stage.accept()
    assert await stage.user.api.create_transport("u_call", "send")
    await stage.user.api.request("POST", "/calls/u_call/end")
    await stage.both_hear_the_end()
    assert stage.user.socket.story("u_call") == ["call_accepted", "call_end"]
    await worker_holds_nothing(stage.server)


async def test_a_call_whose_storing_was_cut_off_keeps_nobody_busy(stage, monkeypatch):
    ask = stage.user.api.request("POST", "/calls", {"otomoId": "otomo", "callId": "u_lost"})
    assert await cut_off(stage, monkeypatch, ask) == (503, "DATABASE_UNAVAILABLE")
    assert (await stage.both_hear_the_end("u_lost"))["reason"] == "system_error"
    await eventually(lambda: "u_lost" in stage.server.registry and "the call is there")
    await stage.ring()


async def test_a_call_whose_worker_dies_before_it_is_stored_ends_with_it(stage):
    [slot] = stage.server.pool.slots
    pid = slot.worker.pid
    async with database_locked(stage):
        opening = asyncio.create_task(
            stage.admin.request("POST", "/admin/calls", {"userId": "user", "otomoId": "otomo", "callId": "call"})
        )
        await eventually(lambda: no_room(stage))
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: slot.worker is None or slot.worker.pid == pid)
    await opening
    assert (await stage.both_hear_the_end("call"))["reason"] == "worker_died"


async def test_an_end_that_cannot_be_stored_closes_the_room_after_a_grace(stage, monkeypatch):
    lifecycle = stage.server.app[LIFECYCLE]
    monkeypatch.setattr(lifecycle_module, "END_WITHIN_S", 0.2)
    monkeypatch.setattr(lifecycle, "_timers", replace(lifecycle._timers, ledger_grace_s=0.1))
    monkeypatch.setattr(stage.server.ledger._database, "_timeout_s", 0.4)
    await stage.ring()
    await stage.accept()
    async with database_locked(stage):
        end = ("POST", "/calls/u_call/end")
        assert await stage.user.refused(*end) == (503, "DATABASE_UNAVAILABLE")
        assert await stage.user.api.request(*end) == {"callId": "u_call", "state": "ending"}, "as it is"
        assert await stage.otomo.refused(*end) == (409, "INVALID_CALL_STATE"), "it did not end it"
        refused = await stage.otomo.refused("POST", "/rtc/transports", {"callId": "u_call", "direction": "send"})
        assert refused == (404, "ROOM_NOT_FOUND"), "whoever comes now comes too late"

        async def room_is_open() -> bool:
            return not await no_room(stage)

        await eventually(room_is_open)
        assert stage.user.socket.payloads("call_end") == []
    assert (await stage.both_hear_the_end())["reason"] == "manual"
