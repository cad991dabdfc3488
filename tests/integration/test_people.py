"""Who is there and who is kept out: status, list, blocks, bans and revoked tokens, seen from outside."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from app.access.tokens import issue_token
from tests.conftest import eventually, serving
from tests.integration.stage import Stage, staged
from tests.integration.ws import Person, person
from voiceplane.client.errors import Refused

ASKED = {"otomoId": "otomo", "callId": "u_call"}


async def refused(stage: Stage, method: str, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        await stage.admin.request(method, path, body)
    return refusal.value.status, refusal.value.code


def statuses(who: Person, otomo_id: str = "otomo") -> list[str]:
    return [told["status"] for told in who.socket.payloads("otomo_status") if told["otomoId"] == otomo_id]


async def is_told(who: Person, status: str) -> None:
    await eventually(lambda: statuses(who)[-1:] != [status] and f"told {statuses(who)}")


async def listed(who: Person, query: str = "") -> list[tuple[str, str]]:
    found = (await who.api.request("GET", f"/otomos{query}"))["otomos"]
    return [(one["otomoId"], one["status"]) for one in found]


async def test_an_otomo_who_is_away_is_seen_so_and_not_called(stage: Stage) -> None:
    await is_told(stage.user, "online")
    assert await stage.otomo.api.request("PUT", "/me/status", {"status": "away"}) == {"status": "away"}
    assert await stage.user.refused("POST", "/calls", ASKED) == (409, "OTOMO_OFFLINE")
    await is_told(stage.user, "away")
    assert await listed(stage.user) == [("otomo", "away")]
    assert await listed(stage.user, "?status=online") == []
    answer = await stage.otomo.socket.command("status_set", status="available")
    assert (answer["type"], answer["payload"]) == ("status_set_ack", {"status": "available"})
    await is_told(stage.user, "online")
    await stage.ring()
    await is_told(stage.user, "busy")
    await stage.user.api.request("POST", "/calls/u_call/cancel")


async def test_away_lasts_over_sockets(stage: Stage) -> None:
    await stage.otomo.api.request("PUT", "/me/status", {"status": "away"})
    await stage.otomo.socket.close()
    async with person(stage.server, stage.http, "otomo", "otomo"):
        assert await stage.user.refused("POST", "/calls", ASKED) == (409, "OTOMO_OFFLINE")
        await is_told(stage.user, "away")
        assert await listed(stage.user) == [("otomo", "away")]


async def test_only_otomos_have_a_status(stage: Stage) -> None:
    assert await stage.user.refused("PUT", "/me/status", {"status": "away"}) == (403, "FORBIDDEN")
    assert await stage.otomo.refused("PUT", "/me/status", {"status": "busy"}) == (400, "BAD_REQUEST")
    answer = await stage.user.socket.command("status_set", status="away")
    assert answer["payload"]["code"] == "FORBIDDEN"


async def test_a_users_socket_begins_with_who_is_there(stage: Stage) -> None:
    await is_told(stage.user, "online")
    headers = stage.server.headers("late", "user")
    async with stage.http.ws_connect(stage.server.url("/ws"), headers=headers) as socket:
        listed = {"otomos": [{"otomoId": "otomo", "status": "online"}]}
        assert await socket.receive_json(timeout=10) == {"type": "otomo_list", "payload": listed}
    assert stage.otomo.socket.lists == []
    assert stage.user.socket.lists == [{"otomos": []}]


async def test_otomos_are_listed_in_pages(stage: Stage) -> None:
    names = [f"o{number}" for number in range(5)]
    sockets = [
        await stage.http.ws_connect(stage.server.url("/ws"), headers=stage.server.headers(name, "otomo"))
        for name in names
    ]
    try:
        await eventually(lambda: len(stage.user.socket.payloads("otomo_status")) < 6 and "not all are told")
        read: list[str] = []
        query = "?limit=2"
        while query:
            page = await stage.user.api.request("GET", f"/otomos{query}")
            read += [one["otomoId"] for one in page["otomos"]]
            query = page["nextCursor"] and f"?limit=2&cursor={page['nextCursor']}"
        assert read == [*names, "otomo"]
        for wrong in ("limit=0", "cursor=%C3%A4", "cursor=_w", "status=offline"):
            assert await stage.user.refused("GET", f"/otomos?{wrong}") == (400, "BAD_REQUEST")
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


async def test_a_blocked_user_rings_nobody_and_sees_nobody(stage: Stage) -> None:
    await is_told(stage.user, "online")
    done = await stage.otomo.api.request("PUT", "/me/blocks/user/user")
    assert done == {"role": "user", "userId": "user", "blocked": True}
    await is_told(stage.user, "offline")
    assert await stage.user.refused("POST", "/calls", ASKED) == (403, "BLOCKED")
    assert await listed(stage.user) == []
    async with person(stage.server, stage.http, "other", "user") as other:
        assert await listed(other) == [("otomo", "online")]
        await stage.otomo.api.request("PUT", "/me/status", {"status": "away"})
        await is_told(other, "away")
    async with person(stage.server, stage.http, "user", "user") as again:
        await eventually(lambda: again.socket.lists != [{"otomos": []}] and f"{again.socket.lists}")
    assert statuses(stage.user)[-1] == "offline"
    assert stage.otomo.socket.payloads("incoming_call") == []
    blocks = (await stage.otomo.api.request("GET", "/me/blocks"))["blocks"]
    assert [(one["role"], one["userId"]) for one in blocks] == [("user", "user")]

    await stage.otomo.api.request("PUT", "/me/blocks/user/user")
    await stage.otomo.api.request("DELETE", "/me/blocks/user/user")
    await is_told(stage.user, "away")
    await stage.otomo.api.request("PUT", "/me/status", {"status": "available"})
    await is_told(stage.user, "online")
    await stage.ring()
    await stage.user.api.request("POST", "/calls/u_call/cancel")


async def test_what_was_told_of_a_blocker_is_not_replayed(stage: Stage) -> None:
    await is_told(stage.user, "online")
    await stage.otomo.api.request("PUT", "/me/blocks/user/user")
    await is_told(stage.user, "offline")
    headers = stage.server.headers("user", "user")
    async with stage.http.ws_connect(stage.server.url("/ws?since=0"), headers=headers) as socket:
        told: list[Any] = []
        while sum(one["type"] == "otomo_list" for one in told) < 2:  # at first, and behind what was replayed
            told.append(await socket.receive_json(timeout=10))
    assert {one["payload"]["status"] for one in told if one["type"] == "otomo_status"} == {"offline"}
    assert [one["type"] for one in told].index("otomo_list") == 0
    assert told[-1]["payload"] == {"otomos": []}


async def test_who_can_not_be_blocked(stage: Stage) -> None:
    assert await stage.user.refused("PUT", "/me/blocks/admin/root") == (400, "BAD_REQUEST")
    assert await stage.user.refused("PUT", "/me/blocks/otomo/a%20b") == (400, "BAD_REQUEST")
    assert await refused(stage, "PUT", "/me/blocks/user/user") == (403, "FORBIDDEN")
    await stage.user.api.request("PUT", "/me/blocks/otomo/otomo")
    assert await stage.user.refused("POST", "/calls", ASKED) == (403, "BLOCKED")


async def test_who_is_banned_is_refused_everywhere_and_sent_away(stage: Stage) -> None:
    await stage.ring()
    await stage.accept()
    ban = await stage.admin.request("PUT", "/admin/users/user/user/ban", {"reason": "spam"})
    assert (ban["banned"], ban["bannedUntil"], ban["banReason"]) == (True, None, "spam")
    assert (await stage.otomo.socket.until("call_end"))["reason"] == "banned"
    await eventually(lambda: stage.user.socket.close_code != 4403 and f"closed {stage.user.socket.close_code}")
    for method, path in (("GET", "/calls"), ("POST", "/calls"), ("GET", "/nowhere"), ("GET", "/wallet/balance")):
        assert await stage.user.refused(method, path, {} if method == "POST" else None) == (403, "BANNED")
    with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
        await stage.http.ws_connect(stage.server.url("/ws"), headers=stage.server.headers("user", "user"))
    assert handshake.value.status == 403
    matched = {"userId": "user", "otomoId": "otomo"}
    assert await refused(stage, "POST", "/admin/calls", matched) == (403, "BANNED")
    async with person(stage.server, stage.http, "user", "otomo") as namesake:
        assert (await namesake.api.request("GET", "/calls"))["calls"] == []
    call = await stage.admin.request("GET", "/calls/u_call")
    assert (call["endReason"], call["endedBy"]) == ("banned", "admin")

    assert (await stage.admin.request("DELETE", "/admin/users/user/user/ban"))["banned"] is False
    assert [one["callId"] for one in (await stage.user.api.request("GET", "/calls"))["calls"]] == ["u_call"]


async def test_an_otomo_who_is_banned_is_offline(stage: Stage) -> None:
    await stage.admin.request("PUT", "/admin/users/otomo/otomo/ban", {"reason": "no show"})
    assert await stage.user.refused("POST", "/calls", ASKED) == (409, "OTOMO_OFFLINE")
    await eventually(lambda: stage.otomo.socket.close_code != 4403 and "the socket is open")


async def test_what_was_decided_of_people_is_so_after_a_restart(settings_with: Any) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    async with staged(settings_with()) as stage:
        await stage.admin.request("PUT", "/admin/users/user/ann/ban", {"reason": "spam", "until": until})
        await stage.otomo.api.request("PUT", "/me/status", {"status": "away"})
        await stage.otomo.api.request("PUT", "/me/blocks/user/bob")
        for wrong in ({"reason": "x", "until": "2020-01-01T00:00:00.000Z"}, {"reason": "x", "until": "soon"}, {}):
            assert await refused(stage, "PUT", "/admin/users/user/ann/ban", wrong) == (400, "BAD_REQUEST")
        assert await refused(stage, "PUT", "/admin/users/admin/chief/ban", {"reason": "x"}) == (400, "BAD_REQUEST")
        assert await stage.user.refused("PUT", "/admin/users/user/ann/ban", {"reason": "x"}) == (403, "FORBIDDEN")
    async with staged(settings_with()) as stage:
        async with stage.http.get(stage.server.url("/calls"), headers=stage.server.headers("ann", "user")) as answer:
            assert (answer.status, (await answer.json())["error"]) == (403, "BANNED")
        known = await stage.admin.request("GET", "/admin/users/user/ann")
        assert (known["banned"], known["bannedUntil"]) == (True, until)
        assert await stage.user.refused("POST", "/calls", ASKED) == (409, "OTOMO_OFFLINE")
        async with person(stage.server, stage.http, "bob", "user") as bob:
            assert await bob.refused("POST", "/calls", ASKED) == (403, "BLOCKED")


async def test_revoked_tokens_are_refused_and_newer_ones_are_not(stage: Stage) -> None:
    await stage.ring()
    await stage.accept()
    known = await stage.admin.request("POST", "/admin/users/user/user/revoke")
    assert known["revokedAt"] is not None
    assert await stage.user.refused("GET", "/calls") == (401, "UNAUTHORIZED")
    await eventually(lambda: stage.user.socket.close_code != 4401 and f"closed {stage.user.socket.close_code}")
    assert stage.server.registry.call("u_call").live

    async def newer() -> object:
        headers = stage.server.headers("user", "user")
        async with stage.http.get(stage.server.url("/calls"), headers=headers) as answer:
            return answer.status != 200 and f"{answer.status}"

    await eventually(newer)
    async with person(stage.server, stage.http, "user", "user") as again:
        await again.api.request("POST", "/calls/u_call/end")


async def test_an_otomo_who_is_offline_can_be_rung(settings_with: Any) -> None:
    async with staged(settings_with(ring_offline=True)) as stage:
        await stage.otomo.socket.close()
        await stage.ring()
        async with person(stage.server, stage.http, "otomo", "otomo") as woken:
            assert (await woken.socket.until("incoming_call"))["callId"] == "u_call"
            await stage.accept()
            await stage.user.socket.until("call_accepted")
            await woken.api.request("POST", "/calls/u_call/end")
        async with person(stage.server, stage.http, "otomo", "otomo") as back:
            await back.socket.command("ping")
            assert back.socket.payloads("incoming_call") == []
            await back.api.request("PUT", "/me/status", {"status": "away"})
        asked = {"otomoId": "otomo", "callId": "u_next"}
        assert await stage.user.refused("POST", "/calls", asked) == (409, "OTOMO_OFFLINE")
        assert await stage.user.refused("POST", "/calls", {"otomoId": "user"}) == (404, "OTOMO_NOT_FOUND")


async def test_a_token_that_lives_too_long_is_refused(settings_with: Any) -> None:
    async with serving(settings_with(max_token_hours=2)) as server, aiohttp.ClientSession() as http:
        with pytest.raises(ValueError, match="lives 2 h at most"):
            server.token("ann", "user", 3 * 3600)
        for hours, status in ((2.0, 200), (2.1, 401)):
            token = issue_token(replace(server.settings, max_token_hours=0), "ann", "user", hours * 3600)
            async with http.get(server.url("/calls"), headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status
