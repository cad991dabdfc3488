"""What parties may hear that is neither of theirs, on a real worker: to whom it is told, and who counts it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.errors import ConsumerNotFound, ProducerNotFound
from app.media import party_objects
from app.media.offers import Offer
from app.media.room import Room
from app.person import Parties
from tests.app.media.rooms_on_worker import OPUS, listening, rooms_on_worker
from tests.app.media.test_room import Watcher, sending
from tests.conftest import eventually
from worker_bridge.rtp import RtpEncodingParameters, RtpParameters


@pytest.fixture
async def room(native_worker) -> AsyncIterator[Room]:
    async with rooms_on_worker(native_worker, {}) as (rooms, _):
        made = await rooms.open("call", Parties.of("ann", "hana"), 1)
        made.watcher = Watcher()
        yield made


async def offered(room: Room, *to: str) -> Offer:
    """Music from this process."""
    transport = await room.router.create_direct_transport()
    producer = await transport.produce("audio", RtpParameters((OPUS,), (), (RtpEncodingParameters(ssrc=7),)))
    return room.offer(producer, "music", to)


async def hearing(room: Room, party: str, offer: Offer) -> str:
    """A party's consumer of it."""
    transport = await room.create_transport(party, "recv")
    return (await room.consume(party, listening(transport.id, offer.producer.id))).id


async def test_it_is_told_to_those_who_may_hear_it_and_heard_by_them_alone(room):
    offer = await offered(room, "otomo")
    consumer_id = await hearing(room, "otomo", offer)
    await room.resume_consumer("otomo", consumer_id)
    with pytest.raises(ProducerNotFound):
        await hearing(room, "user", offer)
    assert [told for told in room.watcher.told if "music" in told] == ["producer_added music to otomo"]


async def test_it_is_no_partys_and_nobody_listens_to_a_party_by_it(room):
    producer_id = await sending(room)
    offer = await offered(room, "user", "otomo")
    await room.resume_consumer("otomo", await hearing(room, "otomo", offer))
    assert list(room.producers) == [producer_id]
    assert (room.consumers, room.listeners(room.producers[producer_id])) == ({}, 0)
    assert room.close().consumers == 1


async def test_who_may_not_hear_it_any_more_does_not(room):
    offer = await offered(room, "user", "otomo")
    consumer_id = await hearing(room, "otomo", offer)
    room.readdress(offer, ["user"])
    with pytest.raises(ConsumerNotFound):
        await room.resume_consumer("otomo", consumer_id)
    room.readdress(offer, ["otomo"])
    assert room.watcher.told[-3:] == [
        "producer_removed music to otomo",
        "producer_removed music to user",
        "producer_added music to otomo",
    ]


async def test_it_ends_with_its_producer(room):
    offer = await offered(room, "otomo")
    consumer_id = await hearing(room, "otomo", offer)
    offer.producer.close()
    assert room.watcher.told[-1] == "producer_removed music to otomo"
    await eventually(lambda: consumer_id in room.offer_consumers and "its consumer is there")
    assert room.offers == {}


async def test_a_party_that_comes_again_is_told_again(room, monkeypatch):
    monkeypatch.setattr(party_objects, "WITHIN_S", 0.0)  # it was long ago that it came
    offer = await offered(room, "otomo")
    await hearing(room, "otomo", offer)
    assert room.watcher.told.count("producer_added music to otomo") == 1
    await room.create_transport("otomo", "recv")
    assert room.watcher.told.count("producer_added music to otomo") == 2
