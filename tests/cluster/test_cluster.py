"""A call goes on whichever node it is asked for at, and when its node dies or stops."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from app.cluster.hops import HEADER
from tests.cluster.member import UNIT_S, Members
from tests.conftest import eventually
from tests.crash.killed_node import Node
from tests.party import Party
from voiceplane.client import Call, Refused, Voiceplane
from voiceplane.client.tone import Tone

BACK_WITHIN_S = 15.0
CALL = "call"

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def talk(at: Node) -> AsyncIterator[tuple[Call, Call]]:
    """Both parties of the call, at that node, until they hear each other."""
    async with (
        Voiceplane(at.base, at.token("user", "user")) as user,
        Voiceplane(at.base, at.token("otomo", "otomo")) as otomo,
    ):
        calls = await user.join(CALL, audio=Tone(440.0)), await otomo.join(CALL, audio=Tone(880.0))
        for call in calls:
            await talks(call)
        yield calls


async def talks(call: Call) -> None:
    await eventually(lambda: call.state != "talking" and f"it is {call.state}", within_s=BACK_WITHIN_S)


async def test_a_call_is_had_at_a_node_that_has_it_not(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        await one.api(http, "root", "admin").open_call(CALL, "user", "otomo")
        async with talk(two) as (user, _):
            seen = await two.api(http, "root", "admin").request("GET", f"/admin/calls/{CALL}")
            assert [len(party["producers"]) for party in seen["live"]["parties"]] == [1, 1]
            end = await user.hang_up()
        assert end.reason == "manual"
        assert await one.api(http, "root", "admin").request("GET", f"/calls/{CALL}") == await two.api(
            http, "root", "admin"
        ).request("GET", f"/calls/{CALL}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_call_goes_on_when_its_node_is_gone(
    member: Members, http: aiohttp.ClientSession, how: signal.Signals
) -> None:
    async with member.pair() as (one, two):
        await one.api(http, "root", "admin").open_call(CALL, "user", "otomo", price_per_minute=0)
        async with talk(two) as (user, otomo):
            one.send_signal(how)
            await eventually(lambda: user.media_epoch != 2 and "it is not moved", within_s=BACK_WITHIN_S)
            await talks(user)
            await talks(otomo)
            end = await user.hang_up()
        root = two.api(http, "root", "admin")
        segments = (await root.request("GET", f"/admin/calls/{CALL}"))["segments"]
        assert [one["node"].rpartition("-")[0] for one in segments] == ["one", "two"]
        assert [one["reason"] for one in segments] == [None, "node_lost" if how == signal.SIGKILL else "node_draining"]
        billing = await root.request("GET", f"/calls/{CALL}/billing")
        assert [unit["index"] for unit in billing["units"]] == list(range(1, len(billing["units"]) + 1))
        assert len(billing["units"]) * UNIT_S <= end.duration_seconds + 1


async def test_a_ring_reaches_whoever_is_connected_elsewhere(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        points = {"amount": 1000, "reason": "gift", "idempotencyKey": "first"}
        await one.api(http, "root", "admin").request("POST", "/admin/wallets/user/adjust", points)
        async with (
            Voiceplane(one.base, one.token("user", "user")) as user,
            Voiceplane(two.base, two.token("otomo", "otomo")) as otomo,
        ):
            ringing: list[Call] = []
            otomo.on("incoming", ringing.append)
            await eventually(lambda: user.otomos.get("otomo") != "online" and f"{dict(user.otomos)}")
            call = await user.call("otomo", audio=Tone(440.0))
            await eventually(lambda: not ringing and "it does not ring")
            await ringing[0].accept(audio=Tone(880.0))
            await talks(call)
            await eventually(lambda: user.otomos.get("otomo") != "busy" and f"{dict(user.otomos)}")
            await ringing[0].hang_up()
            await eventually(lambda: user.otomos.get("otomo") != "online" and f"{dict(user.otomos)}")


async def test_a_drained_node_gives_its_calls_away_unheard(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        await one.api(http, "root", "admin").open_call(CALL, "user", "otomo", price_per_minute=0)
        async with talk(two) as (user, otomo):
            drained = await one.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "move"})
            assert drained["mode"] == "move"
            await eventually(lambda: (user.media_epoch, otomo.media_epoch) != (2, 2) and "it is not moved")
            await talks(user)
            await talks(otomo)
            assert one.log("warning") == []
            await user.hang_up()
        record = await two.api(http, "root", "admin").request("GET", f"/admin/calls/{CALL}")
        assert [one["reason"] for one in record["segments"]] == [None, "node_draining"]
        assert [one["reason"] for one in record["interruptions"]] == ["moved"]


async def test_whoever_remembers_where_a_call_was_is_led_on(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two), member("three") as three:
        await three.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "wait"})  # it takes no call
        await one.api(http, "root", "admin").open_call(CALL, "user", "otomo", price_per_minute=0)
        at_three, refused = three.api(http, "user", "user"), set[str]()
        async with talk(two) as (user, otomo):
            assert len(await at_three.producers(CALL)) == 2
            await one.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "move"})
            while (user.media_epoch, otomo.media_epoch) != (2, 2):
                try:
                    await at_three.producers(CALL)
                except Refused as error:
                    refused.add(error.code)
            for call in (user, otomo):
                await talks(call)
            assert len(await at_three.producers(CALL)) == 2
            await user.hang_up()
        assert refused <= {"WORKER_UNAVAILABLE"}  # nobody is told that there is no such call


async def test_a_node_that_takes_no_calls_passes_them_on(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        at_one, at_two = (node.api(http, "root", "admin") for node in (one, two))
        await at_one.request("POST", "/admin/drain", {"mode": "wait"})
        await at_one.open_call(CALL, "user", "otomo")
        segments = (await at_two.request("GET", f"/admin/calls/{CALL}"))["segments"]
        assert [one["node"].rpartition("-")[0] for one in segments] == ["two"]


async def test_a_preflight_is_had_at_a_node_that_has_it_not_and_at_one_that_takes_no_calls(
    member: Members, http: aiohttp.ClientSession
) -> None:
    async with member.pair() as (one, two):
        at_one, at_two = (node.api(http, "user", "user") for node in (one, two))
        room_id = await at_one.open_preflight()
        async with Party.joined(at_two, room_id) as alone:
            voice = await alone.send(440.0)
            hearing = await alone.receive(voice.producer_id)
            await hearing.heard(50)
        await at_two.close_preflight(room_id)
        with pytest.raises(Refused, match="ROOM_NOT_FOUND"):
            await at_two.close_preflight(room_id)

        await one.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "wait"})
        room_id = await at_one.open_preflight()
        assert (await at_one.create_transport(room_id, "send")).media_epoch == 1
        await at_two.close_preflight(room_id)
        unknown = f"preflight_ffff{room_id.removeprefix('preflight_')[4:]}"
        with pytest.raises(Refused, match="ROOM_NOT_FOUND"):
            await at_one.close_preflight(unknown)


async def test_nobody_but_a_peer_comes_in_by_the_internal_listener(
    member: Members, http: aiohttp.ClientSession
) -> None:
    async with member("one") as one:
        inside = f"http://{one.settings.cluster_listen}"
        headers = {"Authorization": f"Bearer {one.token('root', 'admin')}"}
        for path, mark in (
            ("/health/live", None),
            ("/admin/calls", "0 00 admin:root"),
            ("/internal/nodes/x", "nonsense"),
        ):
            marked = headers | ({HEADER: mark} if mark else {})
            async with http.get(inside + path, headers=marked) as refused:
                assert refused.status == 403
        async with http.get(f"{one.base}/internal/nodes/x", headers=headers) as nowhere:
            assert nowhere.status == 404
