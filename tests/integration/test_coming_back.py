"""Who comes back: a page that was reloaded, a device that was changed, an answer that was lost. The newest wins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from app.client.api import Api
from app.client.conversation import OTOMO_HZ, USER_HZ
from app.client.party import Party
from app.client.tone import FRAMES_PER_SECOND
from tests.conftest import Server, serving
from tests.integration.ws import Person, person

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
        await admin.request("POST", "/admin/calls/call/end")


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
