"""What parties may do in a room, on a real worker: whose object is whose, what is a retry, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from app.clock import Moment
from app.errors import (
    AlreadyConnected,
    AlreadyResumed,
    CannotConsume,
    ConsumerNotFound,
    Forbidden,
    ProducerAlreadyExists,
    ProducerNotFound,
    TransportLimitExceeded,
    TransportNotFound,
)
from app.media.offers import Offer
from app.media.party_objects import NEW_TRANSPORTS, Released
from app.media.room import Room
from app.person import Parties, Person
from tests.app.media.rooms_on_worker import listening, microphone, rooms_on_worker
from tests.conftest import eventually
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters
from worker_bridge.resource import CloseReason
from worker_bridge.rtp import RtpCapabilities

DTLS = DtlsParameters((DtlsFingerprint("sha-256", ":".join(["AB"] * 32)),), "client")


@dataclass
class Watcher:
    """Everything that the room told, in its order."""

    told: list[str] = field(default_factory=list)

    def set_up(self) -> None:
        self.told.append("set_up")

    def producer_changed(self, change: str, party: str, _: object, reason: str | None) -> None:
        self.told.append(f"{change} {party} {reason}" if reason else f"{change} {party}")

    def offer_changed(self, change: str, offer: Offer, told: Collection[str]) -> None:
        self.told.append(f"{change} {offer.source} to {' '.join(sorted(told))}")

    def first_packet(self, party: str, _: object, at: Moment) -> None:
        self.told.append(f"first_packet {party}")

    def closed(self, reason: CloseReason) -> None:
        self.told.append(f"closed {reason.name}")


@pytest.fixture
def index() -> dict[str, Room]:
    return {}


@pytest.fixture
async def room(native_worker, index) -> AsyncIterator[Room]:
    async with rooms_on_worker(native_worker, index) as (rooms, _):
        made = await rooms.open("call", Parties.of("ann", "hana"), 1)
        made.watcher = Watcher()
        yield made


async def sending(room: Room) -> str:
    """The user's producer."""
    transport = await room.create_transport("user", "send")
    return (await room.produce("user", microphone(transport.id))).id


async def receiving(room: Room, producer_id: str) -> str:
    """The otomo's consumer of it."""
    transport = await room.create_transport("otomo", "recv")
    return (await room.consume("otomo", listening(transport.id, producer_id))).id


async def test_each_party_acts_as_itself_and_nobody_else_acts(room):
    assert room.role_of(Person("user", "ann")) == "user"
    assert room.role_of(Person("otomo", "hana")) == "otomo"
    for stranger in (Person("otomo", "ann"), Person("user", "eve"), Person("admin", "ann")):
        with pytest.raises(Forbidden):
            room.role_of(stranger)


async def test_a_new_transport_takes_the_place_of_the_one_before(room, index):
    first = await room.create_transport("user", "send")
    other_way, other_party = await room.create_transport("user", "recv"), await room.create_transport("otomo", "send")
    second = await room.create_transport("user", "send")
    assert first.closed
    assert set(index) == {other_way.id, other_party.id, second.id}
    with pytest.raises(TransportNotFound):
        room.transport_of("user", first.id)


async def test_transports_without_end_are_refused(room):
    for _ in range(NEW_TRANSPORTS):
        last = await room.create_transport("user", "send")
    with pytest.raises(TransportLimitExceeded):
        await room.create_transport("user", "send")
    assert not last.closed, "what was refused replaces nothing"
    await room.create_transport("otomo", "send")


async def test_a_transport_connects_once_and_only_for_its_party(room):
    transport = await room.create_transport("user", "send")
    with pytest.raises(TransportNotFound):
        await room.connect("otomo", transport.id, DTLS)
    await room.connect("user", transport.id, DTLS)
    with pytest.raises(AlreadyConnected):
        await room.connect("user", transport.id, DTLS)


async def test_the_same_request_again_is_answered_with_the_same_producer(room):
    transport = await room.create_transport("user", "send")
    first, again = await asyncio.gather(*(room.produce("user", microphone(transport.id)) for _ in range(2)))
    assert first is again
    with pytest.raises(ProducerAlreadyExists):
        await room.produce("user", microphone(transport.id, ssrc=2, mid="1"))
    room.close_producer("user", first.id)
    assert await room.produce("user", microphone(transport.id, ssrc=2, mid="1")) is not first
    assert room.watcher.told == ["set_up", "producer_added user", "producer_removed user", "producer_added user"]


async def test_a_producer_belongs_to_its_party_and_goes_with_its_transport(room, index):
    producer_id = await sending(room)
    with pytest.raises(ProducerNotFound):
        room.close_producer("otomo", producer_id)
    await room.create_transport("user", "send")
    assert producer_id not in index
    with pytest.raises(ProducerNotFound):
        room.producer_of("user", producer_id)


async def test_who_pauses_all_that_it_sends_is_muted(room):
    assert not room.is_muted("user"), "who sends nothing has muted nothing"
    producer_id = await sending(room)
    for paused in (True, True, False):
        await room.set_producer_paused("user", producer_id, paused)
        assert room.is_muted("user") == paused
    assert room.watcher.told[-2:] == ["producer_paused user", "producer_resumed user"], "the second pause is no change"


async def test_a_flood_is_paused_and_what_follows_begins_paused(room):
    owned = room.producer_of("user", await sending(room))
    await room.stop_flood(owned)
    assert owned.producer.paused
    assert not room.is_muted("user"), "its party did not ask for it"
    again = await room.create_transport("user", "send")
    assert (await room.produce("user", microphone(again.id, ssrc=2))).paused
    assert room.watcher.told.count("producer_paused user flood") == 2


async def test_a_party_receives_the_other_one_and_not_itself(room):
    producer_id = await sending(room)
    mine, theirs = await room.create_transport("user", "recv"), await room.create_transport("otomo", "recv")
    with pytest.raises(ProducerNotFound):
        await room.consume("user", listening(mine.id, producer_id))
    with pytest.raises(TransportNotFound):
        await room.consume("otomo", listening(mine.id, producer_id))
    first, again = await asyncio.gather(*(room.consume("otomo", listening(theirs.id, producer_id)) for _ in range(2)))
    assert first is again
    assert first.paused


async def test_other_capabilities_make_another_consumer(room):
    producer_id = await sending(room)
    transport = await room.create_transport("otomo", "recv")
    request = listening(transport.id, producer_id)
    first = await room.consume("otomo", request)
    everything = room.router.rtp_capabilities
    with pytest.raises(CannotConsume):
        await room.consume("otomo", replace(request, rtp_capabilities=RtpCapabilities((), ())))
    assert not first.closed, "what was refused replaces nothing"
    fewer = RtpCapabilities(everything.codecs, ())
    second = await room.consume("otomo", replace(request, rtp_capabilities=fewer))
    assert (first.closed, second.closed) == (True, False)
    assert list(room.consumers) == [second.id]


async def test_a_consumer_resumes_once_and_is_paused_at_will(room):
    producer_id = await sending(room)
    consumer_id = await receiving(room, producer_id)
    owned = room.producer_of("user", producer_id)
    assert room.listeners(owned) == 0
    await room.resume_consumer("otomo", consumer_id)
    assert room.listeners(owned) == 1
    with pytest.raises(AlreadyResumed):
        await room.resume_consumer("otomo", consumer_id)
    with pytest.raises(ConsumerNotFound):
        await room.pause_consumer("user", consumer_id)
    for _ in range(2):
        await room.pause_consumer("otomo", consumer_id)
    assert room.listeners(owned) == 0


async def test_a_consumer_goes_with_its_producer(room, index):
    producer_id = await sending(room)
    consumer_id = await receiving(room, producer_id)
    room.close_producer("user", producer_id)
    with pytest.raises(ConsumerNotFound):  # though the worker has not said yet that it closed
        await room.resume_consumer("otomo", consumer_id)
    await eventually(lambda: not {producer_id, consumer_id}.isdisjoint(index) and "it is there")


async def test_a_closed_room_has_nothing_and_says_what_it_had(room, index):
    await receiving(room, await sending(room))
    watcher = room.watcher
    assert room.close() == Released(transports=2, producers=1, consumers=1)
    assert index == {}
    assert (room.transports, room.producers, room.consumers) == ({}, {}, {})
    assert watcher.told[-1] == "closed REQUESTED"
    assert "producer_removed user" not in watcher.told, "the end of the room says it"
