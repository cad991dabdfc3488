"""Announcements of a call: in which order, to whom, and what becomes of them when the room or the call goes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.announcing import announcer as announcer_module
from app.announcing.announcer import MOST_WAITING, Announcer
from app.announcing.pacer import Pacer
from app.errors import InvalidCallState
from app.media.offers import Offer
from app.media.room import Room
from schemas.call import CallState
from tests.app.announcing.stage import Stage, clip, listen, staged
from tests.conftest import eventually


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Nobody's device has to be waited for."""
    monkeypatch.setattr(announcer_module, "LEAD_S", 0.0)
    monkeypatch.setattr(announcer_module, "LINGER_S", 0.1)


@pytest.fixture
async def stage(native_worker) -> AsyncIterator[Stage]:
    async with staged(native_worker) as made:
        yield made


@pytest.fixture
async def announcer() -> AsyncIterator[Announcer]:
    made = Announcer(Pacer())
    made.results = []
    made.on_played(made.results.append)
    yield made
    await made.close()


async def offered(room: Room, to: str) -> Offer:
    """The producer of a leg's announcements, once it is there."""

    def found() -> Offer | None:
        return next((one for one in room.offers.values() if one.to == {to}), None)

    await eventually(lambda: found() is None and f"nothing is offered to the {to}")
    return found()


async def over(room: Room) -> None:
    await eventually(lambda: room.offers and "it plays")


async def test_announcements_of_one_leg_are_played_in_their_order_on_one_producer(stage, announcer):
    room = stage.call.room
    made = [announcer.announce(stage.call, clip(name, 5), ["user"]) for name in ("a", "b", "c")]
    offer = await offered(room, "user")
    listener = await listen(room, offer.producer.id)
    assert list(room.offers) == [offer.producer.id]
    await stage.receive("user", offer.producer.id)
    await listener.heard(15)
    await over(room)
    assert listener.texts == [f"{name} {at}" for name in ("a", "b", "c") for at in range(5)]
    assert len({one.id for one in made}) == 3
    assert offer.source == "announcement"
    assert announcer.results == [True, True, True]


async def test_each_leg_has_its_own(stage, announcer):
    room = stage.call.room
    announcer.announce(stage.call, clip("both", 5), ["user", "otomo"])
    announcer.announce(stage.call, clip("one", 5), ["otomo"])
    listeners = {}
    for party in ("user", "otomo"):
        offer = await offered(room, party)
        listeners[party] = await listen(room, offer.producer.id)
        await stage.receive(party, offer.producer.id)
    await listeners["user"].heard(5)
    await listeners["otomo"].heard(10)
    await over(room)
    assert listeners["user"].texts == [f"both {at}" for at in range(5)]
    assert listeners["otomo"].texts == [f"{name} {at}" for name in ("both", "one") for at in range(5)]


async def test_a_party_that_does_not_receive_it_holds_up_nothing(stage, announcer, monkeypatch):
    monkeypatch.setattr(announcer_module, "LISTEN_WITHIN_S", 0.1)
    announcer.announce(stage.call, clip("a", 2), ["user"])
    await offered(stage.call.room, "user")
    await over(stage.call.room)
    assert announcer.results == [False]


async def test_where_the_room_is_lost_it_is_played_in_the_next_one_from_its_beginning(stage, announcer):
    room = stage.call.room
    announcer.announce(stage.call, clip("a", 200), ["user"])
    announcer.announce(stage.call, clip("b", 1), ["user"])
    offer = await offered(room, "user")
    listener = await listen(room, offer.producer.id)
    await stage.receive("user", offer.producer.id)
    await listener.heard(1)
    stage.call.room = None
    room.close()
    stage.call.epoch += 1
    following = await stage.enter()
    announcer.entered(stage.call, following)
    offer = await offered(following, "user")
    listener = await listen(following, offer.producer.id)
    await stage.receive("user", offer.producer.id)
    await listener.heard(1)
    assert listener.texts[0] == "a 0"


async def test_with_the_call_all_is_over(stage, announcer):
    announcer.announce(stage.call, clip("a", 1000), ["user"])
    announcer.announce(stage.call, clip("b", 1000), ["user"])
    await offered(stage.call.room, "user")
    stage.call.state = CallState.ENDED
    room, stage.call.room = stage.call.room, None
    room.close()
    announcer.left(stage.call)
    await eventually(lambda: len(announcer.results) < 2 and f"{announcer.results} so far")
    assert announcer.results == [False, False]
    assert announcer._legs == {}


async def test_a_call_that_waits_for_a_room_plays_there(stage, announcer):
    room, stage.call.room = stage.call.room, None
    room.close()
    announcer.announce(stage.call, clip("a", 1), ["otomo"])
    following = await stage.enter()
    announcer.entered(stage.call, following)
    await stage.receive("otomo", (await offered(following, "otomo")).producer.id)
    await over(following)
    assert announcer.results == [True]


async def test_nothing_is_played_in_calls_that_nobody_hears_and_only_so_much_waits(stage, announcer):
    for _ in range(MOST_WAITING):
        announcer.announce(stage.call, clip("a", 1000), ["user"])
    with pytest.raises(InvalidCallState, match="20 announcements wait"):
        announcer.announce(stage.call, clip("a", 1), ["user", "otomo"])
    announcer.announce(stage.call, clip("a", 1), ["otomo"])
    stage.call.matched_at = None
    with pytest.raises(InvalidCallState, match="is talking"):
        announcer.announce(stage.call, clip("a", 1), ["otomo"])
