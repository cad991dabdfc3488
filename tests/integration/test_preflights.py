"""A preflight over REST and real media: one person hears their own sound, and nothing else comes of it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest

from app.keys import PREFLIGHTS
from app.media.preflights import LIFE_S
from app.person import Person as Somebody
from schemas.base import load
from schemas.transport import PreflightOpened
from tests.conftest import Server, eventually, serving
from tests.integration.conftest import worker_holds_nothing
from tests.integration.ws import Person, person
from tests.party import Party

SOUND = 50  # frames, a second
HZ = 440.0
BOTH = Somebody("user", "mia"), Somebody("otomo", "hana")
DELAYED_S = 15.0


@pytest.fixture
async def mia(server: Server, http: aiohttp.ClientSession) -> AsyncIterator[Person]:
    async with person(server, http, "mia", "user") as made:
        yield made


async def test_whoever_looks_hears_themselves_and_nothing_is_stored_told_or_counted(server, http, mia):
    async with person(server, http, "hana", "otomo") as hana:
        await mia.socket.until("otomo_status")
        before = await server.ledger.latest_seq()
        for who in (mia, hana):
            room_id = await who.api.open_preflight()
            async with Party.joined(who.api, room_id) as alone:
                voice = await alone.send(HZ)
                hearing = await alone.receive(voice.producer_id)
                await hearing.heard(SOUND)
                assert abs(hearing.receiver.dominant_hz() - HZ) < 2
                [listed] = await who.api.producers(room_id)
                assert (listed.producer_id, listed.role) == (voice.producer_id, "user" if who is mia else "otomo")
            assert not any(server.registry.busy(one) for one in BOTH)
            await who.api.close_preflight(room_id)
        assert len(server.registry) == len(server.app[PREFLIGHTS]) == 0
        assert await server.ledger.latest_seq() == before
        assert await server.ledger.call(room_id) is None
        assert [one.told for one in (mia, hana) if any("callId" in told["payload"] for told in one.socket.told)] == []
    await worker_holds_nothing(server)


async def test_the_answer_says_how_long_it_is_there_and_what_is_over_is_not_found(mia):
    answer = await mia.api.request("POST", "/rtc/preflights")
    opened = load(PreflightOpened, answer)
    assert 0 < (datetime.fromisoformat(opened.expires_at) - datetime.now(UTC)).total_seconds() <= LIFE_S
    path = f"/rtc/preflights/{opened.call_id}"
    assert await mia.api.request("DELETE", path) == {"closed": True}
    gone = (404, "ROOM_NOT_FOUND")
    assert await mia.refused("DELETE", path) == gone
    assert await mia.refused("POST", "/rtc/transports", {"callId": opened.call_id, "direction": "send"}) == gone
    assert await mia.refused("DELETE", f"/rtc/rooms/{opened.call_id}/cleanup") == gone
    assert await mia.refused("GET", f"/calls/{opened.call_id}") == (404, "CALL_NOT_FOUND")


async def test_it_is_nobody_elses_and_no_admins(server, http, mia):
    room_id = await mia.api.open_preflight()
    transport = await mia.api.create_transport(room_id, "send")
    async with person(server, http, "root", "admin") as root, person(server, http, "mia", "otomo") as namesake:
        assert await root.refused("POST", "/rtc/preflights") == (403, "FORBIDDEN")
        for stranger in (root, namesake):
            for method, path, body in (
                ("POST", "/rtc/transports", {"callId": room_id, "direction": "send"}),
                ("POST", f"/rtc/transports/{transport.transport_id}/restart-ice", None),
                ("DELETE", f"/rtc/preflights/{room_id}", None),
            ):
                assert await stranger.refused(method, path, body) == (403, "FORBIDDEN")
        assert await namesake.refused("GET", f"/rtc/rooms/{room_id}/producers") == (403, "FORBIDDEN")
        assert await root.api.producers(room_id) == []
        assert (await root.api.request("GET", "/admin/calls"))["calls"] == []


async def test_who_opens_one_after_another_is_asked_to_wait(server, mia):
    for _ in range(5):
        await mia.api.open_preflight()
    assert len(server.app[PREFLIGHTS]) == 1
    assert await mia.refused("POST", "/rtc/preflights") == (429, "RATE_LIMITED")


async def test_a_node_that_drains_opens_none_and_ends_those_that_are_there(server, http, mia):
    room_id = await mia.api.open_preflight()
    async with person(server, http, "root", "admin") as root:
        await root.api.request("POST", "/admin/drain", {"mode": "wait"})
    assert await mia.refused("DELETE", f"/rtc/preflights/{room_id}") == (404, "ROOM_NOT_FOUND")
    assert await mia.refused("POST", "/rtc/preflights") == (503, "DRAINING")
    await worker_holds_nothing(server)


async def test_it_is_gone_with_its_worker_and_a_new_one_is_had_on_the_next(server, mia):
    room_id = await mia.api.open_preflight()
    worker = server.pool.slots[0].worker
    os.kill(worker.pid, signal.SIGKILL)
    await eventually(lambda: len(server.app[PREFLIGHTS]) and "it is there")
    assert await mia.refused("DELETE", f"/rtc/preflights/{room_id}") == (404, "ROOM_NOT_FOUND")
    await eventually(lambda: server.pool.slots[0].worker in (None, worker) and "no worker is up")
    assert await mia.api.open_preflight() != room_id


async def test_a_flood_ends_it(settings_with, http):
    """The limit is below what an ordinary voice sends."""
    async with (
        serving(settings_with(max_packets_per_second=20)) as strict,
        person(strict, http, "mia", "user") as mia,
        Party.joined(mia.api, await mia.api.open_preflight()) as alone,
    ):
        await alone.send(HZ)
        await eventually(lambda: len(strict.app[PREFLIGHTS]) and "it is there", DELAYED_S)
