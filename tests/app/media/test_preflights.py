"""A room in which one person is alone: whose it is, how they hear themselves, and when it is over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from app.errors import Draining, Forbidden, ProducerNotFound, RoomNotFound, WorkerUnavailable
from app.media.preflights import PREFIX, Preflights, object_id_of
from app.media.room import Room
from app.media.rooms import Rooms
from app.person import Parties, Person
from tests.app.media.rooms_on_worker import listening, microphone, rooms_on_worker
from tests.conftest import eventually
from worker_bridge.ids import uuids
from worker_bridge.pool import Slot

ANN, HANA, ROOT = Person("user", "ann"), Person("otomo", "hana"), Person("admin", "root")
NO_LIMIT = 0


class Desk:
    """Preflights on a worker of their own; ``draining`` refuses new ones."""

    def __init__(self, rooms: Rooms, slot: Slot, index: dict[str, Room]) -> None:
        self.rooms, self.slot, self.index = rooms, slot, index
        self.draining = False
        self.preflights = self.that_live()

    def that_live(self, life_s: float = 60.0) -> Preflights:
        return Preflights(self.rooms, self.admit, None, NO_LIMIT, life_s)

    def admit(self) -> None:
        if self.draining:
            raise Draining("for the test")

    async def routers(self) -> list[str]:
        return (await self.slot.worker.dump())["router_ids"]


@pytest.fixture
async def desk(native_worker) -> AsyncIterator[Desk]:
    index: dict[str, Room] = {}
    async with rooms_on_worker(native_worker, index) as (rooms, slot):
        made = Desk(rooms, slot, index)
        yield made
        await made.preflights.close()
        assert made.index == {}
        assert slot.worker.closed or await made.routers() == []


@pytest.mark.parametrize("person", [ANN, HANA], ids=str)
async def test_whoever_sends_is_heard_by_themselves(desk, person):
    opened = await desk.preflights.open(person)
    room = desk.preflights.room(opened.id, person)
    party = room.role_of(person)
    assert party == person.role
    sending, receiving = [await room.create_transport(party, way) for way in ("send", "recv")]
    producer = await room.produce(party, microphone(sending.id))
    consumer = await room.consume(party, listening(receiving.id, producer.id))
    assert consumer.producer_id == producer.id
    assert set(desk.index) == {sending.id, receiving.id, producer.id, consumer.id}


async def test_in_a_call_nobody_hears_themselves(desk):
    room = await desk.rooms.open("call", Parties.of("ann", "hana"), 1)
    sending, receiving = [await room.create_transport("user", way) for way in ("send", "recv")]
    producer = await room.produce("user", microphone(sending.id))
    with pytest.raises(ProducerNotFound):
        await room.consume("user", listening(receiving.id, producer.id))
    room.close()


async def test_it_is_its_persons_and_nobody_elses(desk):
    opened = await desk.preflights.open(ANN)
    assert desk.preflights.room(opened.id) is opened.room
    for stranger in (HANA, Person("otomo", "ann"), ROOT):
        with pytest.raises(Forbidden):
            desk.preflights.room(opened.id, stranger)
        with pytest.raises(Forbidden):
            desk.preflights.end(opened.id, stranger)
        with pytest.raises(Forbidden):
            opened.room.role_of(stranger)
    with pytest.raises(Forbidden):
        await desk.preflights.open(ROOT)
    assert len(desk.preflights) == 1


async def test_a_new_one_takes_the_place_of_the_one_before_also_where_both_are_asked_for_at_once(desk):
    await desk.preflights.open(HANA)
    opened = await asyncio.gather(*(desk.preflights.open(ANN) for _ in range(5)))
    there = [one for one in opened if not one.room.router.closed]
    assert len(there) == 1
    assert len(desk.preflights) == len(await desk.routers()) == 2
    assert desk.preflights.room(there[0].id, ANN) is there[0].room


async def test_it_ends_when_it_is_ended_and_by_itself_when_its_time_is_over(desk):
    opened = await desk.preflights.open(ANN)
    desk.preflights.end(opened.id, ANN)
    for _ in range(2):
        with pytest.raises(RoomNotFound):
            desk.preflights.end(opened.id, ANN)
    short = desk.that_live(life_s=0.2)
    brief = await short.open(ANN)
    await eventually(lambda: len(short) and "it lives")
    assert brief.room.router.closed
    assert await desk.routers() == []
    await short.close()


async def test_none_is_opened_where_no_call_is_and_those_that_are_there_can_all_be_ended(desk):
    await asyncio.gather(desk.preflights.open(ANN), desk.preflights.open(HANA))
    desk.draining = True
    desk.preflights.end_all()
    with pytest.raises(Draining):
        await desk.preflights.open(ANN)
    assert (len(desk.preflights), await desk.routers()) == (0, [])


async def test_one_that_is_being_opened_when_the_node_begins_to_drain_is_not_there(desk):
    opening = asyncio.create_task(desk.preflights.open(ANN))
    await asyncio.sleep(0)  # it has asked the worker
    desk.draining = True
    with pytest.raises(Draining):
        await opening
    assert (len(desk.preflights), await desk.routers()) == (0, [])


async def test_it_is_gone_with_its_worker(desk):
    opened = await desk.preflights.open(ANN)
    os.kill(desk.slot.worker.pid, signal.SIGKILL)
    await eventually(lambda: len(desk.preflights) and "it is there")
    assert desk.preflights.room(opened.id, ANN) is None
    with pytest.raises(WorkerUnavailable):
        await desk.preflights.open(ANN)


def test_its_id_has_a_uuid_in_it_and_no_other_call_is_taken_for_one():
    one = next(uuids())
    assert object_id_of(PREFIX + one) == one
    for call_id in ("call_1", one, PREFIX, f"{PREFIX}{one[:-1]}", f"{PREFIX}{one}0", f"u_{PREFIX}{one}"):
        assert object_id_of(call_id) is None
