"""Who comes back: a page that was reloaded, a device that was changed, an answer that was lost. The newest wins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from tests.conftest import Server, eventually, serving
from tests.conversation import OTOMO_HZ, USER_HZ
from tests.integration.ws import Person, person
from tests.party import Party
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused
from voiceplane.client.tone import FRAMES_PER_SECOND

GRACE_S = 0.5
SEND = {"callId": "call", "direction": "send"}


@dataclass(frozen=True)
class Scene:
    """A matched call whose parties are online."""

    server: Server
    admin: Api
    user: Person
    otomo: Person

    async def made_transport(self, body: dict[str, str] = SEND) -> str:
        return (await self.user.api.request("POST", "/rtc/transports", body))["transportId"]


@pytest.fixture
async def scene(settings_with) -> AsyncIterator[Scene]:
    async with (
        serving(settings_with(rate_limit=0)) as server,
        aiohttp.ClientSession() as http,
        person(server, http, "user", "user") as user,
        person(server, http, "otomo", "otomo") as otomo,
    ):
        admin = Api(http, server.base, server.token("root", "admin"))
        await admin.open_call("call", "user", "otomo", price_per_minute=0)
        yield Scene(server, admin, user, otomo)


async def test_a_transport_whose_answer_was_lost_is_made_again(scene):
    lost = await scene.made_transport()
    again = await scene.made_transport()
    assert again != lost
    assert await scene.user.refused("DELETE", f"/rtc/transports/{lost}") == (404, "TRANSPORT_NOT_FOUND")
    assert list(scene.server.registry.room("call").transports) == [again]


async def test_who_reloads_the_page_is_back_at_once_and_the_other_one_is_told(scene):
    async with Party.joined(scene.user.api, "call") as page, Party.joined(scene.otomo.api, "call") as otomo:
        voice, other_voice = await page.send(USER_HZ), await otomo.send(OTOMO_HZ)
        await page.receive(other_voice.producer_id)
        await (await otomo.receive(voice.producer_id)).heard(FRAMES_PER_SECOND)
        page.vanish()  # as a tab that is closed: no DTLS close
        async with Party.joined(scene.user.api, "call") as reloaded:
            new_voice = await reloaded.send(USER_HZ)
            assert (await scene.otomo.socket.until("producer_removed"))["producerId"] == voice.producer_id
            assert (await scene.otomo.socket.until("producer_added", count=2))["producerId"] == new_voice.producer_id
            hearing = await reloaded.receive(other_voice.producer_id)
            await hearing.heard(FRAMES_PER_SECOND)
            story = [one for one in scene.otomo.socket.story("call") if one.startswith("producer_")]
            assert story == ["producer_added", "producer_removed", "producer_added"]
            transports = scene.server.registry.room("call").transports.values()
            assert sorted((one.party, one.direction) for one in transports if one.party == "user") == [
                ("user", "recv"),
                ("user", "send"),
            ]


async def test_what_is_asked_of_a_replaced_transport_is_not_found(scene):
    old = await scene.made_transport()
    await scene.made_transport()
    fingerprint = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}
    dtls = {"dtlsParameters": {"role": "client", "fingerprints": [fingerprint]}}
    assert await scene.user.refused("POST", f"/rtc/transports/{old}/connect", dtls) == (404, "TRANSPORT_NOT_FOUND")
    assert await scene.user.refused("POST", f"/rtc/transports/{old}/restart-ice") == (404, "TRANSPORT_NOT_FOUND")


async def test_more_than_one_transport_where_that_is_set_and_then_the_oldest_gives_way(settings_with):
    async with serving(settings_with(max_transports_per_direction=2)) as server, aiohttp.ClientSession() as http:
        admin = Api(http, server.base, server.token("root", "admin"))
        user = Api(http, server.base, server.token("user", "user"))
        await admin.open_call("call", "user", "otomo", price_per_minute=0)
        made = [(await user.request("POST", "/rtc/transports", SEND))["transportId"] for _ in range(3)]
        assert list(server.registry.room("call").transports) == made[1:]
        await admin.request("POST", "/admin/calls/call/end")


@dataclass(frozen=True)
class Ringing:
    """A call that rings at an otomo with two devices."""

    server: Server
    admin: Api
    user: Person
    phone: Person
    tablet: Person

    async def ask(self, who: Person, command: str) -> dict[str, str]:
        return await who.api.request("POST", f"/calls/u_call/{command}")

    async def again(self) -> dict[str, str]:
        return await self.user.api.request("POST", "/calls", {"otomoId": "otomo", "callId": "u_call"})


@pytest.fixture
async def ringing(settings_with) -> AsyncIterator[Ringing]:
    async with (
        serving(settings_with(rate_limit=0, interrupted_after_s=GRACE_S)) as server,
        aiohttp.ClientSession() as http,
        person(server, http, "user", "user") as user,
        person(server, http, "otomo", "otomo") as phone,
        person(server, http, "otomo", "otomo") as tablet,
    ):
        admin = Api(http, server.base, server.token("root", "admin"))
        await admin.request("PUT", "/admin/rates/otomo", {"pricePerMinute": 0})
        made = Ringing(server, admin, user, phone, tablet)
        assert await made.again() == {"callId": "u_call", "state": "ringing"}
        yield made


async def test_a_call_that_was_asked_for_is_asked_for_again(ringing):
    assert await ringing.again() == {"callId": "u_call", "state": "ringing"}
    answer = await ringing.user.socket.command("call_request", otomoId="otomo", callId="u_call")
    assert (answer["type"], answer["payload"]) == ("call_request_ack", {"callId": "u_call", "state": "ringing"})
    busy = {"otomoId": "otomo", "callId": "u_another"}
    assert await ringing.user.refused("POST", "/calls", busy) == (409, "OTOMO_BUSY")
    await ringing.ask(ringing.phone, "accept")
    assert await ringing.again() == {"callId": "u_call", "state": "matched"}
    await ringing.ask(ringing.user, "end")
    again = {"otomoId": "otomo", "callId": "u_call"}
    assert await ringing.user.refused("POST", "/calls", again) == (409, "INVALID_CALL_STATE"), "that one is over"
    assert ringing.phone.socket.story("u_call").count("incoming_call") == 1


@pytest.mark.parametrize("deed", ["reject", "cancel", "end"])
async def test_who_ended_a_call_may_say_so_again(ringing, deed):
    doer, other = (ringing.phone, ringing.user) if deed == "reject" else (ringing.user, ringing.phone)
    if deed == "end":
        await ringing.ask(ringing.phone, "accept")
    for _ in range(2):
        assert await ringing.ask(doer, deed) == {"callId": "u_call", "state": "ended"}
    answer = await doer.socket.command(f"call_{deed}", callId="u_call")
    assert (answer["type"], answer["payload"]["state"]) == (f"call_{deed}_ack", "ended")
    too_late = (409, "INVALID_CALL_STATE")
    for command in {"reject", "cancel", "end"} - {deed}:
        assert await doer.refused("POST", f"/calls/u_call/{command}") == too_late
    assert await other.refused("POST", "/calls/u_call/end") == too_late
    with pytest.raises(Refused, match="409 INVALID_CALL_STATE"):
        await ringing.admin.request("POST", "/admin/calls/u_call/end")
    assert doer.socket.story("u_call").count("call_end") == 1


async def test_an_accept_is_asked_again_while_the_call_lives_and_after_it(ringing):
    for _ in range(2):
        assert await ringing.ask(ringing.phone, "accept") == {"callId": "u_call", "state": "matched"}
    await ringing.user.api.create_transport("u_call", "send")
    await eventually(lambda: ringing.server.registry.call("u_call").state != "connecting" and "no transport yet")
    assert (await ringing.ask(ringing.tablet, "accept"))["state"] == "connecting"
    await ringing.ask(ringing.user, "end")
    assert (await ringing.ask(ringing.phone, "accept"))["state"] == "ended"
    assert ringing.user.socket.story("u_call").count("call_accepted") == 1


async def test_an_admin_ends_a_call_twice(scene):
    for _ in range(2):
        answer = await scene.admin.request("POST", "/admin/calls/call/end")
        assert answer == {"callId": "call", "state": "ended"}
    assert await scene.user.refused("POST", "/calls/call/end") == (409, "INVALID_CALL_STATE")
    assert await scene.otomo.refused("POST", "/calls/call/accept") == (409, "INVALID_CALL_STATE"), "an admin matched it"


async def test_a_cleanup_is_asked_again_by_either_party_and_by_nobody_else(scene):
    await scene.made_transport()
    cleanup = ("DELETE", "/rtc/rooms/call/cleanup")
    first = await scene.user.api.request(*cleanup)
    assert first == {"cleaned": True, "released": {"transports": 1, "producers": 0, "consumers": 0}}
    for who in (scene.user, scene.otomo):
        nothing = {"transports": 0, "producers": 0, "consumers": 0}
        assert await who.api.request(*cleanup) == {"cleaned": True, "released": nothing}
    with pytest.raises(Refused, match="404 ROOM_NOT_FOUND"):
        await scene.admin.request(*cleanup)
    assert await scene.user.refused("DELETE", "/rtc/rooms/none/cleanup") == (404, "ROOM_NOT_FOUND")


@pytest.mark.parametrize(
    ("command", "event"),
    [("accept", "call_accepted"), ("reject", "call_rejected"), ("cancel", "call_cancelled")],
)
async def test_the_second_device_stops_to_ring(ringing, command, event):
    await ringing.ask(ringing.user if command == "cancel" else ringing.phone, command)
    for device in (ringing.phone, ringing.tablet, ringing.user):
        told = await device.socket.until(event)
        assert (told["callId"], told["userId"], told["otomoId"]) == ("u_call", "user", "otomo")
    if command != "accept":
        await ringing.tablet.socket.until("call_end")


async def test_a_caller_who_goes_while_it_rings_is_told_of_and_cancelled(ringing):
    await ringing.user.socket.close()
    await ringing.phone.socket.until("call_cancelled")
    assert (await ringing.phone.socket.until("call_end"))["reason"] == "cancelled"
    assert (await ringing.admin.request("GET", "/calls/u_call"))["endedBy"] == "node"
    assert await ringing.phone.refused("POST", "/calls/u_call/accept") == (409, "INVALID_CALL_STATE")


async def test_a_caller_who_is_back_in_time_rings_on(ringing):
    await ringing.user.socket.close()
    async with person(ringing.server, ringing.user.api.http, "user", "user") as back:
        waited = asyncio.get_running_loop().time() + 1.5 * GRACE_S
        await eventually(lambda: asyncio.get_running_loop().time() < waited and "the grace is not over")
        assert ringing.server.registry.call("u_call").state == "ringing"
        assert "call_cancelled" not in ringing.phone.socket.story("u_call")
        await back.api.request("POST", "/calls/u_call/cancel")


async def test_a_caller_who_has_another_device_rings_on(ringing):
    async with person(ringing.server, ringing.user.api.http, "user", "user") as tablet:
        await ringing.user.socket.close()
        waited = asyncio.get_running_loop().time() + 1.5 * GRACE_S
        await eventually(lambda: asyncio.get_running_loop().time() < waited and "the grace is not over")
        assert ringing.server.registry.call("u_call").state == "ringing"
        await tablet.api.request("POST", "/calls/u_call/cancel")


async def test_a_party_finds_what_it_has_in_the_room(scene):
    async with Party.joined(scene.user.api, "call") as user, Party.joined(scene.otomo.api, "call") as otomo:
        voice, other_voice = await user.send(USER_HZ), await otomo.send(OTOMO_HZ)
        hearing = await user.receive(other_voice.producer_id)
        await hearing.heard(1)
        media = (await scene.user.api.request("GET", "/calls/call"))["media"]
        by_direction = {one["direction"]: one["transportId"] for one in media["transports"]}
        assert sorted(by_direction) == ["recv", "send"]
        assert {one["dtlsState"] for one in media["transports"]} == {"connected"}
        assert media["producers"] == [
            {"producerId": voice.producer_id, "transportId": by_direction["send"], "kind": "audio", "paused": False}
        ]
        assert media["consumers"] == [
            {
                "consumerId": hearing.consumer_id,
                "producerId": other_voice.producer_id,
                "transportId": by_direction["recv"],
                "paused": False,
            }
        ]
        theirs = (await scene.otomo.api.request("GET", "/calls/call"))["media"]
        assert [one["producerId"] for one in theirs["producers"]] == [other_voice.producer_id]
        assert (await scene.admin.request("GET", "/calls/call"))["media"] is None
    await scene.user.api.cleanup("call")
    assert (await scene.user.api.request("GET", "/calls/call"))["media"] is None


async def test_users_choose_ids_of_their_own_kind_and_the_back_end_all_others(ringing):
    for who, path, body in (
        (ringing.user, "/calls", {"otomoId": "otomo", "callId": "call"}),
        (Person("root", ringing.admin, ringing.user.socket), "/admin/calls",
         {"userId": "a", "otomoId": "b", "callId": "u_call-2"}),
    ):  # fmt: skip
        assert await who.refused("POST", path, body) == (400, "BAD_REQUEST")
