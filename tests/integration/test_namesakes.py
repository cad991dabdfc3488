"""User 17 and otomo 17 are two people, and an admin 17 is a third: what one of them may and hears is not another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from tests.conftest import Server, serving
from tests.integration.ws import Person, person
from voiceplane.client.api import Api

ID = "17"
POINTS = 1000


@dataclass(frozen=True)
class Namesakes:
    """Three people with one id, and a user and an otomo whose ids are their own."""

    server: Server
    admin: Api
    user: Person
    otomo: Person
    caller: Person
    other: Person


@asynccontextmanager
async def gathered(server: Server, http: aiohttp.ClientSession) -> AsyncIterator[Namesakes]:
    admin = Api(http, server.base, server.token(ID, "admin"))
    async with (
        person(server, http, ID, "user") as user,
        person(server, http, ID, "otomo") as otomo,
        person(server, http, "caller", "user") as caller,
        person(server, http, "other", "otomo") as other,
    ):
        for user_id in (ID, "caller"):
            gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": user_id}
            await admin.request("POST", f"/admin/wallets/{user_id}/adjust", gift)
        yield Namesakes(server, admin, user, otomo, caller, other)


@pytest.fixture
async def people(settings_with) -> AsyncIterator[Namesakes]:
    async with (
        serving(settings_with(rate_limit=0)) as server,
        aiohttp.ClientSession() as http,
        gathered(server, http) as made,
    ):
        yield made


async def refused(api: Api, method: str, path: str, body: dict[str, object] | None = None) -> tuple[int, str]:
    return await Person(ID, api, None).refused(method, path, body)  # type: ignore[arg-type]


async def test_a_user_does_not_hear_or_answer_the_call_of_the_otomo_with_the_same_id(people):
    call_id = (await people.caller.api.request("POST", "/calls", {"otomoId": ID}))["callId"]
    assert (await people.otomo.socket.until("incoming_call"))["callId"] == call_id
    for stranger in (people.user.api, people.admin):
        for command in ("accept", "reject", "cancel", "end"):
            assert await refused(stranger, "POST", f"/calls/{call_id}/{command}") == (403, "FORBIDDEN")
    assert await people.user.refused("GET", f"/calls/{call_id}") == (403, "FORBIDDEN")
    assert (await people.user.api.request("GET", "/calls"))["calls"] == []
    assert [one["callId"] for one in (await people.otomo.api.request("GET", "/calls"))["calls"]] == [call_id]
    assert (await people.admin.request("GET", f"/calls/{call_id}"))["otomoId"] == ID
    await people.otomo.api.request("POST", f"/calls/{call_id}/accept")
    for stranger in (people.user.api, people.admin):
        for body in ({"direction": "send"}, {"direction": "recv"}):
            wanted = {"callId": call_id, **body}
            assert await refused(stranger, "POST", "/rtc/transports", wanted) == (403, "FORBIDDEN")
        assert await refused(stranger, "DELETE", f"/rtc/rooms/{call_id}/cleanup") == (403, "FORBIDDEN")
    await people.otomo.api.request("POST", f"/calls/{call_id}/end")
    await people.otomo.socket.until("call_end", call_id)
    own = {told["type"] for told in people.user.socket.told}
    assert own <= {"otomo_status", "wallet_update"}, "what concerns the otomo is no news of the user's"


async def test_a_user_is_free_while_the_otomo_with_the_same_id_talks(people):
    await people.caller.api.request("POST", "/calls", {"otomoId": ID})
    assert (await people.user.api.request("POST", "/calls", {"otomoId": "other"}))["state"] == "ringing"


async def test_a_user_calls_the_otomo_with_the_same_id_and_each_is_told_their_own(people):
    call_id = (await people.user.api.request("POST", "/calls", {"otomoId": ID}))["callId"]
    assert await people.user.refused("POST", f"/calls/{call_id}/accept") == (403, "FORBIDDEN")
    assert await people.otomo.refused("POST", f"/calls/{call_id}/cancel") == (403, "FORBIDDEN")
    await people.otomo.api.request("POST", f"/calls/{call_id}/accept")
    assert (await people.user.socket.until("call_accepted"))["callId"] == call_id
    wanted = {"callId": call_id, "direction": "send"}
    mine = (await people.user.api.request("POST", "/rtc/transports", wanted))["transportId"]
    theirs = (await people.otomo.api.request("POST", "/rtc/transports", wanted))["transportId"]
    assert await people.otomo.refused("DELETE", f"/rtc/transports/{mine}") == (404, "TRANSPORT_NOT_FOUND")
    assert await people.user.refused("DELETE", f"/rtc/transports/{theirs}") == (404, "TRANSPORT_NOT_FOUND")
    live = (await people.admin.request("GET", f"/admin/calls/{call_id}"))["live"]["parties"]
    assert [(one["userId"], one["role"]) for one in live] == [(ID, "user"), (ID, "otomo")]
    assert [one["transports"][0]["transportId"] for one in live] == [mine, theirs]
    await people.user.api.request("POST", f"/calls/{call_id}/end")
    assert "incoming_call" not in {told["type"] for told in people.user.socket.told}


async def test_only_the_user_has_the_wallet(people):
    assert (await people.user.api.request("GET", "/wallet/balance"))["balance"] == POINTS
    for stranger in (people.otomo.api, people.admin):
        assert await refused(stranger, "GET", "/wallet/balance") == (404, "WALLET_NOT_FOUND")
        assert (await stranger.request("GET", "/wallet/usage"))["usage"] == []


async def test_an_otomo_who_is_away_is_offline_though_a_user_has_the_id(people):
    await people.caller.api.request("POST", "/calls", {"otomoId": "other", "callId": "u_call"})
    await people.other.api.request("POST", "/calls/u_call/reject")
    await people.other.socket.close()
    http = people.caller.api.http
    async with person(people.server, http, "other", "user"):
        assert await people.caller.refused("POST", "/calls", {"otomoId": "other"}) == (409, "OTOMO_OFFLINE")
    async with person(people.server, http, "somebody", "user"):
        assert await people.caller.refused("POST", "/calls", {"otomoId": "somebody"}) == (404, "OTOMO_NOT_FOUND")
