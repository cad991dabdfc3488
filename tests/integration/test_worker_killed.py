"""A worker dies, or hangs, in the middle of a call: the call gets another room, its parties make their media anew, and
the same call goes on at the same price."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing

import pytest

from tests.conftest import Server, eventually, serving
from tests.conversation import OTOMO_HZ, USER_HZ, Conversation, conversation
from tests.integration.paid_calls import PRICE, MakeSettings, Scene, milliseconds, scene, talking
from tests.integration.ws import Message, connected
from voiceplane.client.api import Api, Released
from voiceplane.client.errors import Refused
from voiceplane.client.tone import FRAMES_PER_SECOND

PATIENT_S = 30.0
LONGER_THAN_A_HANG_S = 10.0  # a worker that says nothing for 3.5 s is given up
GONE = {(404, "ROOM_NOT_FOUND"), (404, "TRANSPORT_NOT_FOUND"), (404, "PRODUCER_NOT_FOUND"), (404, "CONSUMER_NOT_FOUND")}


@pytest.fixture
async def server(short: MakeSettings) -> AsyncIterator[Server]:
    async with serving(short(workers=2, reconnect_window_s=PATIENT_S)) as running:
        yield running


def strike(server: Server, call: Scene, signum: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to the worker that has the call's room. Returns the worker's index."""
    index = server.registry.call(call.call_id).worker
    assert index is not None
    worker = server.pool.slots[index].worker
    assert worker is not None
    os.kill(worker.pid, signum)
    return index


async def moved(call: Scene, epoch: int = 2) -> Message:
    """Both are told that the call has another room."""
    told = await call.user.socket.until("media_moved", call.call_id, count=epoch - 1)
    assert await call.otomo.socket.until("media_moved", call.call_id, count=epoch - 1) == told
    assert told == {"callId": call.call_id, "mediaEpoch": epoch, "reason": "worker_died", "oldMediaUntil": None}
    return told


async def test_a_call_goes_on_in_another_room_when_its_worker_is_killed(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(2)
        first_worker = strike(server, call)
        await moved(call)
        [told] = call.user.socket.payloads("call_interrupted")
        assert (told["userId"], told["role"], told["reason"]) == (None, None, "worker_died")
        await is_rebuilt(call, talk)
        await is_recorded(call, first_worker, "worker_died", None)


async def test_so_it_does_when_its_worker_hangs(short: MakeSettings) -> None:
    """It is given up before the silence would be noticed."""
    async with (
        serving(short(workers=2, interrupted_after_s=LONGER_THAN_A_HANG_S, reconnect_window_s=PATIENT_S)) as server,
        talking(server, call_id="first") as (call, talk),
        talking(server, call_id="second") as (other, _),
    ):
        assert server.registry.room("first").channel is not server.registry.room("second").channel
        await call.charged(2)
        struck_ms = time.time() * 1000
        first_worker = strike(server, call, signal.SIGSTOP)
        await moved(call)
        [told] = call.user.socket.payloads("call_interrupted")
        assert (told["userId"], told["reason"]) == (None, "worker_died")
        assert -50 < struck_ms - milliseconds(told["since"]) < 3000, "the clock stands since the last count before it"
        await is_rebuilt(call, talk)
        await is_recorded(call, first_worker, "worker_died", None)
        assert other.user.socket.payloads("call_interrupted", "second") == []
        assert other.state == "talking"


async def test_a_call_that_was_interrupted_and_loses_its_room_is_waited_for_anew(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(2)
        talk.otomo.vanish()
        silent = await call.user.socket.until("call_interrupted", call.call_id)
        first_worker = strike(server, call)
        await moved(call)
        lost = await call.user.socket.until("call_interrupted", call.call_id, count=2)
        assert (silent["reason"], lost["reason"], lost["userId"]) == ("no_rtp", "worker_died", None)
        assert silent["since"] == lost["since"]
        assert silent["until"] < lost["until"]
        await is_rebuilt(call, talk)
        await is_recorded(call, first_worker, "no_rtp", "otomo")


async def is_rebuilt(call: Scene, talk: Conversation) -> None:
    """What they had is gone; what they make anew is in the second room, where they talk, and hang up."""
    gone = (
        call.user.api.pause_producer(talk.user_voice.producer_id),
        call.user.api.resume_consumer(talk.user_hearing.consumer_id),
        call.user.api.consume(call.call_id, talk.user_hearing.consumer_id, talk.otomo_voice.producer_id),
    )
    assert [await refusal(one) for one in gone] == [
        (404, "PRODUCER_NOT_FOUND"),
        (404, "CONSUMER_NOT_FOUND"),
        (404, "TRANSPORT_NOT_FOUND"),
    ]
    asked = {"callId": call.call_id, "direction": "send"}
    assert (await call.user.api.request("POST", "/rtc/transports", asked))["mediaEpoch"] == 2
    async with conversation(call.user.api, call.otomo.api, call.call_id) as again:
        await eventually(
            lambda: call.otomo.socket.payloads("producer_added", call.call_id)[-1]["mediaEpoch"] != 2 and "it is old"
        )
        await go_on(call, again)
        await call.user.api.request("POST", f"/calls/{call.call_id}/end")
    await call.ends("manual")


async def go_on(call: Scene, again: Conversation) -> None:
    """They hear each other again, and it costs again."""
    await again.heard(FRAMES_PER_SECOND)
    assert again.otomo_hearing.receiver.dominant_hz() == pytest.approx(USER_HZ, abs=5)
    assert again.user_hearing.receiver.dominant_hz() == pytest.approx(OTOMO_HZ, abs=5)
    await call.user.socket.until("call_resumed", call.call_id)
    await call.otomo.socket.until("call_resumed", call.call_id)
    units = len((await call.admin.request("GET", f"/calls/{call.call_id}/billing"))["units"])
    await call.charged(units + 2)


async def is_recorded(call: Scene, first_worker: int, reason: str, role: str | None) -> None:
    """The parties' account of it, and the admins'."""
    stored = await call.user.api.request("GET", f"/calls/{call.call_id}")
    [line] = stored["interruptions"]
    assert (line["reason"], line["role"]) == (reason, role)
    away_s = (milliseconds(line["until"]) - milliseconds(line["since"])) / 1000
    assert stored["interruptedSeconds"] == int(away_s)
    there_s = (milliseconds(stored["endedAt"]) - milliseconds(stored["connectedAt"])) / 1000
    assert stored["durationSeconds"] == pytest.approx(there_s - away_s, abs=1.0)
    assert stored["mediaEpoch"] == 2
    first, second = (await call.admin.request("GET", f"/admin/calls/{call.call_id}"))["segments"]
    assert (first["mediaEpoch"], first["worker"], first["reason"]) == (1, first_worker, None)
    assert (second["mediaEpoch"], second["reason"], second["node"]) == (2, "worker_died", first["node"])
    assert first["talkedBeforeSeconds"] == 0 < second["talkedBeforeSeconds"] <= stored["durationSeconds"]
    worker = stored["worker"]
    assert worker == second["worker"], "the record speaks of the last room's"


async def refusal(request: Awaitable[object]) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        await request
    return refused.value.status, refused.value.code


async def test_until_there_is_another_room_media_is_refused_for_a_moment(server: Server) -> None:
    """The other room is not told before it is stored, and the database is busy."""
    async with talking(server) as (call, talk):
        live = server.registry.call(call.call_id)
        path = server.settings.data_dir / "voiceplane.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            strike(server, call)
            await eventually(lambda: live.room is not None and "it has its room")
            headers = {"Authorization": f"Bearer {server.token(call.user.user_id, 'user')}"}
            asked = {"callId": call.call_id, "direction": "send"}
            async with call.http.post(server.url("/rtc/transports"), json=asked, headers=headers) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "1")
                assert (await response.json())["error"] == "WORKER_UNAVAILABLE"
            assert await refusal(call.user.api.pause_producer(talk.user_voice.producer_id)) in GONE
            stranger = Api(call.http, server.base, server.token("stranger", "user"))
            assert await refusal(stranger.create_transport(call.call_id, "send")) == (403, "FORBIDDEN")
            assert (await call.user.api.request("GET", f"/calls/{call.call_id}"))["mediaEpoch"] == 1
            other.execute("ROLLBACK")
        await moved(call)
        async with conversation(call.user.api, call.otomo.api, call.call_id) as again:
            await go_on(call, again)
            await call.admin.request("POST", f"/admin/calls/{call.call_id}/end")
        await call.ends("admin")


async def test_who_was_offline_is_told_of_it_afterwards(server: Server) -> None:
    async with talking(server) as (call, _):
        await call.user.socket.close()
        heard = call.user.socket.told[-1]["seq"]
        strike(server, call)
        await call.otomo.socket.until("media_moved", call.call_id)
        token = server.token(call.user.user_id, "user")
        async with connected(call.http, server.base, token, since=heard) as again:
            await again.until("media_moved", call.call_id)
            assert again.story(call.call_id)[-2:] == ["call_interrupted", "media_moved"]
            await call.otomo.api.request("POST", f"/calls/{call.call_id}/end")
            end = await again.until("call_end", call.call_id)
            call.user.socket.told += again.told
        assert end["reason"] == "manual", "neither has come back, and both may hang up"
        call.was_told_in_order(call.user)
        await call.adds_up(server.ledger, end)


async def test_nobody_who_comes_back_ends_it_by_its_workers_death(short: MakeSettings) -> None:
    async with serving(short()) as server, talking(server) as (call, _):
        await call.charged(1)
        strike(server, call)
        await moved(call)
        end = await call.ends("worker_died")
        [told] = call.user.socket.payloads("call_interrupted")
        assert end["endedAt"] == told["since"]
        stored = await call.user.api.request("GET", f"/calls/{call.call_id}")
        assert (stored["endedBy"], stored["interruptedSeconds"]) == ("node", 0)


async def test_a_call_that_kills_two_workers_ends_and_the_others_on_them_go_on(short: MakeSettings) -> None:
    async with (
        serving(short(reconnect_window_s=PATIENT_S)) as server,
        talking(server, call_id="poison") as (poison, _),
    ):
        await poison.charged(1)
        strike(server, poison)
        await moved(poison)
        async with talking(server, call_id="bystander") as (call, talk):
            units = len((await server.ledger.billing("poison")).units)
            strike(server, poison)
            end = await poison.ends("worker_died")
            assert end["totalChargedPoints"] == units * PRICE
            assert len(poison.user.socket.payloads("media_moved")) == 1, "it gets no third room"
            await moved(call)
            await is_rebuilt(call, talk)


async def test_a_call_that_is_not_connected_yet_moves_without_being_interrupted(server: Server) -> None:
    async with scene(server) as call:
        assert await call.user.api.request("POST", "/rtc/transports", {"callId": "call", "direction": "send"})
        strike(server, call)
        await moved(call)
        assert call.user.socket.payloads("call_interrupted") == []
        async with conversation(call.user.api, call.otomo.api, call.call_id) as talk:
            await call.connected()
            await talk.heard()
            await call.charged(1)
            await call.user.api.request("POST", f"/calls/{call.call_id}/end")
        await call.ends("manual")


async def test_a_party_may_hang_up_while_there_is_no_room(server: Server) -> None:
    async with talking(server) as (call, _):
        live = server.registry.call(call.call_id)
        path = server.settings.data_dir / "voiceplane.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            strike(server, call)
            await eventually(lambda: live.room is not None and "it has its room")
            cleaning = asyncio.create_task(call.user.api.cleanup(call.call_id))
            await eventually(lambda: live.live and "it goes on")
            other.execute("ROLLBACK")
            assert await cleaning == Released(transports=0, producers=0, consumers=0)
        await call.ends("manual")
        assert call.user.socket.payloads("media_moved") == []
