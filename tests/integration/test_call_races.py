"""Of what is asked at once one succeeds, and a database in trouble leaves no call half made: on a whole node."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest

from app.calls import lifecycle as lifecycle_module
from app.keys import LIFECYCLE
from tests.conftest import eventually
from tests.integration.conftest import worker_holds_nothing
from tests.integration.stage import POINTS, Stage
from tests.integration.ws import person
from voiceplane.client.errors import Refused

ROUNDS = 25


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
    queue = database.queue
    monkeypatch.setattr(queue, "timeout_s", 0.4)
    busy = asyncio.create_task(database.write(lambda _: disk_is_free.wait()))
    await eventually(lambda: queue.idle.is_set() and "nothing is being written")
    asking = asyncio.create_task(asked)
    await eventually(lambda: not queue.waiting and "the request has nothing to write yet")
    slow = asyncio.create_task(database.write(lambda _: disk_answers.wait()))
    await eventually(lambda: len(queue.waiting) < 2 and "they are not written together")
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


async def test_a_call_whose_worker_dies_before_it_is_stored_gets_another_room(stage):
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
    for party in (stage.user, stage.otomo):
        assert (await party.socket.until("media_moved", "call"))["mediaEpoch"] == 2
    assert await stage.user.api.create_transport("call", "send")
    await stage.user.api.request("POST", "/calls/call/end")
    assert (await stage.both_hear_the_end("call"))["reason"] == "manual"


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
