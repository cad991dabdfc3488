"""A producer that sends more than any sound needs: stopped by the node, seen by everybody, free again when it is calm.

The limit is set below what an ordinary voice sends, so that an ordinary voice is the flood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.conftest import Server, eventually, serving
from tests.integration.ws import person
from tests.party import Party
from voiceplane.client.api import Api

LATE_S = 15.0
HZ = 440.0


@pytest.fixture
async def strict(settings_with) -> AsyncIterator[Server]:
    async with serving(settings_with(max_packets_per_second=20, rate_limit=0)) as server:
        yield server


async def flags(admin: Api) -> set[tuple[str, str]]:
    call = await admin.request("GET", "/admin/calls/call")
    return {(flag["type"], flag["role"]) for flag in call["flags"] if flag["until"] is None}


async def test_a_flood_is_paused_flagged_and_told_to_both_and_ends_when_it_does(strict: Server) -> None:
    async with (
        aiohttp.ClientSession() as http,
        person(strict, http, "user", "user") as user,
        person(strict, http, "otomo", "otomo") as otomo,
    ):
        admin = Api(http, strict.base, strict.token("root", "admin"))
        await admin.open_call("call", "user", "otomo", price_per_minute=0)
        async with Party.joined(user.api, "call") as sender:
            voice = await sender.send(HZ)
            for who in (user, otomo):
                assert await who.socket.until("producer_paused") == {
                    "callId": "call",
                    "producerId": voice.producer_id,
                    "userId": "user",
                    "role": "user",
                    "kind": "audio",
                    "mediaEpoch": 1,
                    "reason": "flood",
                }

            async def flagged() -> object:
                return ("flood", "user") not in await flags(admin) and "it is not flagged"

            await eventually(flagged, LATE_S)
            resume = f"/rtc/producers/{voice.producer_id}/resume"
            assert await user.refused("POST", resume) == (409, "INVALID_CALL_STATE")
            [listed] = (await otomo.api.request("GET", "/rtc/rooms/call/producers"))["producers"]
            assert listed["paused"] is True
            sender.stop_sending()

            async def over() -> object:
                return ("flood", "user") in await flags(admin) and "it floods"

            await eventually(over, LATE_S)
            await user.api.resume_producer(voice.producer_id)
            assert "reason" not in await otomo.socket.until("producer_resumed")
            assert user.socket.payloads("producer_resumed") == [], "it knows what it did"
        await user.api.cleanup("call")


async def test_who_flooded_once_begins_again_paused(strict: Server) -> None:
    async with aiohttp.ClientSession() as http, person(strict, http, "user", "user") as user:
        admin = Api(http, strict.base, strict.token("root", "admin"))
        await admin.open_call("call", "user", "otomo", price_per_minute=0)
        async with Party.joined(user.api, "call") as sender:
            await sender.send(HZ)
            await user.socket.until("producer_paused")
        async with Party.joined(user.api, "call") as again:
            voice = await again.send(HZ)
            told = await user.socket.until("producer_paused", count=2)
            assert (told["producerId"], told["reason"]) == (voice.producer_id, "flood")
            [listed] = (await user.api.request("GET", "/rtc/rooms/call/producers"))["producers"]
            assert (listed["producerId"], listed["paused"]) == (voice.producer_id, True)
        await user.api.cleanup("call")
