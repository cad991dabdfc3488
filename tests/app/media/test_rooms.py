"""Where rooms are opened: on the worker that they are given, or not at all."""

from __future__ import annotations

import os
import signal

import pytest

from app.errors import WorkerUnavailable
from app.media.codecs import codecs_of
from app.media.rooms import Rooms
from app.person import Parties
from tests.app.media.rooms_on_worker import LIMITS, rooms_on_worker
from tests.conftest import eventually
from worker_bridge.errors import WorkerGone
from worker_bridge.pool import Slot

PARTIES = Parties.of("ann", "hana")


async def test_a_room_is_on_the_worker_that_it_is_given(native_worker):
    async with rooms_on_worker(native_worker, {}) as (rooms, slot):
        room = await rooms.open("call", PARTIES, 1)
        assert room.router.id in (await slot.worker.dump())["router_ids"]
        assert (room.call_id, room.worker_index, room.parties) == ("call", 0, PARTIES)
        room.close()
        assert (await slot.worker.dump())["router_ids"] == []


async def test_no_worker_takes_no_room():
    def nowhere() -> Slot:
        raise WorkerGone("none is up")

    for place in (nowhere, lambda: Slot(0)):
        with pytest.raises(WorkerUnavailable):
            await Rooms(place, codecs_of({"audio"}), LIMITS, {}).open("call", PARTIES, 1)


async def test_a_worker_that_died_takes_no_room(native_worker):
    async with rooms_on_worker(native_worker, {}) as (rooms, slot):
        os.kill(slot.worker.pid, signal.SIGKILL)
        await eventually(lambda: not slot.worker.closed and "the worker is there")
        with pytest.raises(WorkerUnavailable):
            await rooms.open("call", PARTIES, 1)
