"""The life of a call without media: asked for, answered, ended, by REST and by WebSocket, and what both sides hear."""

from __future__ import annotations

import asyncio

import pytest

from app.person import Person as Someone
from tests.conftest import eventually
from tests.integration.conftest import worker_holds_nothing
from tests.integration.stage import POINTS, PRICE, staged
from tests.integration.ws import Person, connected, person
from voiceplane.client.errors import Refused


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
    assert billing == {"callId": "u_call", "units": [], "totalPoints": 0, "refundedPoints": 0, "refunds": []}


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
