"""Who is there and who is free, as users are told: on the real hub, with sockets that only count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from msgspec import json

from app.access.tokens import Claims, Role
from app.calls.call import LiveCall
from app.calls.presence import Pace, Presence
from app.clock import now
from app.ledger.values import NewEvent
from app.person import Person
from app.signaling.hub import Hub
from app.tariffs import Terms
from tests.app.conftest import Desk
from tests.conftest import eventually

AT_ONCE = Pace(offline_after_s=0.0, at_most_every_s=0.0)
FOR_EVER = 2.0**40  # seconds since 1970


class Seat:
    """A socket of one user, as far as the hub sees it."""

    def __init__(self, hub: Hub, user_id: str, role: Role) -> None:
        self.claims = Claims(user_id, role, FOR_EVER)
        self._hub = hub
        hub.join(self)

    def deliver(self, seq: int, message: bytes) -> None:
        """Nobody reads."""

    def close(self, code: int = 1000) -> None:
        self._hub.leave(self)


@dataclass
class Stage:
    desk: Desk
    hub: Hub
    presence: Presence

    def seat(self, user_id: str, role: Role = "otomo") -> Seat:
        return Seat(self.hub, user_id, role)

    def call(self, call_id: str = "call") -> LiveCall:
        call = LiveCall(call_id, "user", "otomo", Terms.by_unit(100), now())
        self.desk.registry.add(call)
        return call

    async def told(self, *expected: str) -> None:
        """All that was told of the otomo since the beginning is this."""
        marks = self.desk.audience.types().count("mark")
        self.desk.journal.append(NewEvent("mark", b"{}"))
        await eventually(lambda: self.desk.audience.types().count("mark") == marks and "the mark was not told")
        statuses = self.desk.audience.payloads("otomo_status")
        assert [one["status"] for one in statuses] == list(expected)
        assert {one["otomoId"] for one in statuses} <= {"otomo"}


@pytest.fixture
async def stage(desk: Desk) -> AsyncIterator[Stage]:
    hub = Hub()
    presence = Presence(hub, desk.registry, desk.journal, AT_ONCE)
    hub.on_presence(presence.socket_changed)
    yield Stage(desk, hub, presence)
    for call in desk.registry:
        desk.registry.remove(call)
    presence.close()


async def test_an_otomo_is_online_from_the_first_socket_to_the_last(stage):
    first, second = stage.seat("otomo"), stage.seat("otomo")
    first.close()
    await stage.told("online")
    assert stage.presence.status("otomo") == "online"
    second.close()
    await stage.told("online", "offline")
    assert stage.presence.status("otomo") == "offline"


async def test_users_and_admins_have_no_status(stage):
    for role in ("user", "admin"):
        stage.seat("somebody", role).close()
    await stage.told()
    stage.seat("somebody", "user")
    assert stage.presence.status("somebody") == "offline"
    assert stage.presence.online(Person("user", "somebody"))
    assert not stage.presence.online(Person("otomo", "somebody"))


async def test_a_call_makes_an_otomo_busy_until_the_last_one_ends(stage):
    stage.seat("otomo")
    first, second = stage.call("first"), stage.call("second")
    stage.desk.registry.remove(first)
    assert stage.presence.status("otomo") == "busy"
    stage.desk.registry.remove(second)
    await stage.told("online", "busy", "online")


async def test_a_busy_otomo_who_loses_the_socket_is_offline_and_comes_back_busy(stage):
    socket = stage.seat("otomo")
    call = stage.call()
    socket.close()
    stage.seat("otomo")
    stage.desk.registry.remove(call)
    await stage.told("online", "busy", "offline", "busy", "online")


async def test_an_otomo_without_a_socket_is_offline_whatever_calls_there_are(stage):
    stage.desk.registry.remove(stage.call())
    await stage.told()


async def test_the_status_is_told_to_all_users_and_says_when(stage):
    before = now()
    stage.seat("otomo")
    await stage.told("online")
    [event] = [one for one in stage.desk.audience.events if one.type == "otomo_status"]
    assert event.to is None
    assert before.iso <= json.decode(event.payload)["timestamp"] <= now().iso


async def test_a_socket_during_the_call_is_remembered_for_its_owner_alone(stage):
    call = stage.call()
    for stranger in (("user", "otomo"), ("otomo", "user"), ("otomo", "admin")):
        stage.seat(*stranger).close()
    assert (call.liveness["user"].had_socket, call.liveness["otomo"].had_socket) == (False, False)
    stage.seat("user", "user").close()
    assert (call.liveness["user"].had_socket, call.liveness["otomo"].had_socket) == (True, False)


@asynccontextmanager
async def paced(desk: Desk, pace: Pace) -> AsyncIterator[Stage]:
    hub = Hub()
    presence = Presence(hub, desk.registry, desk.journal, pace)
    hub.on_presence(presence.socket_changed)
    try:
        yield Stage(desk, hub, presence)
    finally:
        presence.close()


async def test_a_socket_that_comes_back_at_once_is_no_news_but_callers_know(desk):
    async with paced(desk, Pace(offline_after_s=0.3, at_most_every_s=0.0)) as stage:
        for _ in range(50):
            socket = stage.seat("otomo")
            assert stage.presence.status("otomo") == "online"
            socket.close()
            assert stage.presence.status("otomo") == "offline", "a caller must not ring somebody who is not there"
        left_at = asyncio.get_running_loop().time()
        await stage.told("online")
        await eventually(lambda: len(desk.audience.payloads("otomo_status")) < 2 and "they are not told")
        assert asyncio.get_running_loop().time() - left_at > 0.25
        await stage.told("online", "offline")


async def test_an_end_of_a_call_does_not_make_offline_come_sooner_or_later(desk):
    async with paced(desk, Pace(offline_after_s=0.2, at_most_every_s=0.0)) as stage:
        socket, call = stage.seat("otomo"), stage.call()
        socket.close()
        desk.registry.remove(call)
        await stage.told("online", "busy")
        await eventually(lambda: len(desk.audience.payloads("otomo_status")) < 3 and "they are not told")
        await stage.told("online", "busy", "offline")


async def test_of_many_changes_in_a_moment_the_last_one_is_told(desk):
    async with paced(desk, Pace(offline_after_s=0.0, at_most_every_s=0.2)) as stage:
        stage.seat("otomo")
        for number in range(20):
            desk.registry.remove(stage.call(f"call-{number}"))
        last = stage.call("last")
        await stage.told("online")
        await eventually(lambda: len(desk.audience.payloads("otomo_status")) < 2 and "they are not told")
        await stage.told("online", "busy")
        desk.registry.remove(last)
        await eventually(lambda: len(desk.audience.payloads("otomo_status")) < 3 and "they are not told")
        await stage.told("online", "busy", "online")


async def test_who_left_is_forgotten_when_they_were_told_of(desk):
    async with paced(desk, Pace(offline_after_s=0.05, at_most_every_s=0.05)) as stage:
        for number in range(10):
            stage.seat(f"otomo-{number}").close()
        await eventually(lambda: stage.presence._lines)
        statuses = [one["status"] for one in desk.audience.payloads("otomo_status")]
        assert sorted(statuses) == ["offline"] * 10 + ["online"] * 10


async def test_the_pace_is_the_contracts():
    assert Pace() == Pace(offline_after_s=5.0, at_most_every_s=1.0)
