"""What parties send comes into this process, on a real worker: whose it is, until when, and who does not notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from app.media.room import Room
from app.media.tap import Tap
from app.person import Parties
from app.tasks import Tasks
from tests.app.media.rooms_on_worker import rooms_on_worker
from tests.app.media.speaking import Speaker, speaking
from tests.conftest import eventually
from tests.worker_bridge.rtp_packets import Rtp


@dataclass
class Heard:
    """What a sink got."""

    packets: list[tuple[str, Rtp]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def __call__(self, party: str, packet: bytes, at: float) -> None:
        self.packets.append((party, Rtp.parse(packet)))
        self.times.append(at)

    def payloads(self, party: str) -> list[bytes]:
        return [packet.payload for who, packet in self.packets if who == party]


@pytest.fixture
async def room(native_worker) -> AsyncIterator[Room]:
    async with rooms_on_worker(native_worker, {}) as (rooms, _):
        yield await rooms.open("call", Parties.of("ann", "hana"), 1)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.wait()


async def heard_by(heard: Heard, speaker: Speaker, party: str, payload: bytes) -> None:
    """Have a party say it until it has come: what is sent before the consumer is there comes nowhere."""
    number = 0

    def say() -> str:
        nonlocal number
        number += 1
        speaker.send(number, payload)
        return "" if payload in heard.payloads(party) else f"{payload!r} has not come"

    await eventually(say)


async def test_each_packet_comes_with_its_party_and_time(room, tasks):
    before = await speaking(room, "user", ssrc=1)
    heard = Heard()
    tap = Tap(room, heard, tasks.start)
    after = await speaking(room, "otomo", ssrc=2)
    tap.follow("otomo", after.producer)
    await heard_by(heard, before, "user", b"\xf8of the user")
    await heard_by(heard, after, "otomo", b"\xf8of the otomo")
    assert set(heard.payloads("user")) == {b"\xf8of the user"}
    assert set(heard.payloads("otomo")) == {b"\xf8of the otomo"}
    assert heard.times == sorted(heard.times)
    assert len({packet.ssrc for _, packet in heard.packets}) == 2


async def test_it_is_nobodys_in_the_room(room, tasks):
    speaker = await speaking(room)
    Tap(room, heard := Heard(), tasks.start)
    await heard_by(heard, speaker, "user", b"\xf8")
    assert (room.transports, list(room.producers)) == ({}, [speaker.producer.id])
    assert (room.consumers, room.listeners(room.producers[speaker.producer.id])) == ({}, 0)


async def test_nothing_comes_of_who_is_paused(room, tasks):
    speaker = await speaking(room)
    Tap(room, heard := Heard(), tasks.start)
    await heard_by(heard, speaker, "user", b"\xf8before")
    await room.set_producer_paused("user", speaker.producer.id, True)
    for number in range(100, 110):
        speaker.send(number, b"\xf8meanwhile")
    await room.set_producer_paused("user", speaker.producer.id, False)
    await heard_by(heard, speaker, "user", b"\xf8after")
    assert b"\xf8meanwhile" not in heard.payloads("user")


async def test_a_closed_one_takes_its_transport_along(room, tasks):
    speaker = await speaking(room)
    tap = Tap(room, heard := Heard(), tasks.start)
    await heard_by(heard, speaker, "user", b"\xf8")
    tap.close()
    dump = await room.router.dump()
    assert dump["map_consumer_id_producer_id"] == {}
    assert len(dump["transport_ids"]) == 1


async def test_closed_while_it_begins_it_leaves_nothing(room, tasks):
    await speaking(room)
    tap = Tap(room, Heard(), tasks.start)
    tap.close()
    await tasks.wait()
    assert len((await room.router.dump())["transport_ids"]) == 1


async def test_a_room_that_closes_is_no_error(room, tasks, caplog):
    await speaking(room)
    tap = Tap(room, Heard(), tasks.start)
    room.close()
    await tasks.wait()
    tap.close()
    assert caplog.records == []
