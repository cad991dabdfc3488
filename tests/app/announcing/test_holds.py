"""A call on hold, on a real worker and a real ledger: who hears whom, and that it survives the room and the node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from app.announcing.clip import Clip
from app.announcing.clips import Clips
from app.announcing.holds import Holds
from app.announcing.pacer import Pacer
from app.calls.call import LiveCall
from app.calls.continuity import live_call
from app.clock import now
from app.errors import AlreadyResumed, InvalidCallState
from app.ledger import Ledger
from app.media.room import Room
from app.tariffs import Terms
from schemas.call import CallState
from tests.app.announcing.stage import listen
from tests.app.announcing.test_clip import CELT, opus_file
from tests.app.media.rooms_on_worker import listening, microphone, worker_in_slot
from tests.conftest import eventually

LONG = [CELT + f"{at}".encode() for at in range(250)]


@dataclass
class Held:
    """A call with both parties in a room, each with a consumer of the other."""

    desk: object
    holds: Holds
    clips: Clips
    call: LiveCall
    consumers: dict[str, str]

    @property
    def room(self) -> Room:
        assert self.call.room is not None
        return self.call.room

    async def enter(self, resumed: bool = True) -> Room:
        room = await self.desk.rooms.open(self.call.id, self.call.parties, self.call.epoch)
        self.desk.lifecycle.enter_room(self.call, room)
        producers = {}
        for ssrc, party in enumerate(("user", "otomo"), 1):
            transport = await room.create_transport(party, "send")
            producers[party] = (await room.produce(party, microphone(transport.id, ssrc=ssrc))).id
        for party, other in (("user", "otomo"), ("otomo", "user")):
            transport = await room.create_transport(party, "recv")
            self.consumers[party] = (await room.consume(party, listening(transport.id, producers[other]))).id
            if resumed:
                await room.resume_consumer(party, self.consumers[party])
        return room

    def heard(self) -> set[str]:
        """Who hears the other."""
        return {one.party for one in self.room.consumers.values() if not one.consumer.paused}

    async def clip(self, name: str) -> Clip:
        return await self.clips.get(name)

    def music(self) -> list[str]:
        return [offer.producer.id for offer in self.room.offers.values() if offer.source == "music"]

    async def told(self, party: str) -> list[str]:
        """What a party was told of the other's producer, and of music."""
        person = self.call.parties.person(party)
        ids = {"producer_paused": "paused", "producer_resumed": "resumed"}
        events = [event for event in self.desk.audience.events if event.to == person and event.type in ids]
        return [f"{ids[event.type]} {b'hold' in event.payload}" for event in events]


@pytest.fixture
async def scene(native_worker, desk, tmp_path) -> AsyncIterator[Held]:
    (tmp_path / "clips").mkdir()
    for name in ("long", "other"):
        (tmp_path / "clips" / f"{name}.opus").write_bytes(opus_file(*LONG))
    async with worker_in_slot(native_worker) as slot:
        desk.slot = slot
        clips = Clips(tmp_path / "clips")
        holds = Holds(clips, Pacer(), desk.journal)
        desk.lifecycle.on_room(holds.entered)
        desk.lifecycle.on_left(holds.left)
        made = Held(desk, holds, clips, await desk.talking(), {})
        await made.enter()
        yield made
        await holds.close()


async def test_neither_hears_the_other_until_it_is_resumed(scene):
    assert scene.heard() == {"user", "otomo"}
    held = await scene.holds.hold(scene.call, None)
    assert scene.heard() == set()
    assert scene.music() == []
    assert await scene.holds.hold(scene.call, None) == held
    await scene.holds.release(scene.call)
    assert scene.heard() == {"user", "otomo"}
    await scene.holds.release(scene.call)
    assert (await scene.desk.ledger.call("call")).held_since_ms is None

    async def untold() -> str | None:
        told = [await scene.told(party) for party in ("user", "otomo")]
        whole = ["paused True", "resumed True"]
        return f"only {told}" if told != [whole, whole] else None

    await eventually(untold)


async def test_what_a_party_wants_to_hear_and_to_be_heard_of_it_is_kept(scene):
    room = scene.room
    await room.pause_consumer("user", scene.consumers["user"])
    [muted] = [key for key, owned in room.producers.items() if owned.party == "otomo"]
    await room.set_producer_paused("otomo", muted, True)
    await scene.holds.hold(scene.call, None)
    await room.resume_consumer("user", scene.consumers["user"])
    with pytest.raises(AlreadyResumed):
        await room.resume_consumer("user", scene.consumers["user"])
    await room.pause_consumer("otomo", scene.consumers["otomo"])
    assert scene.heard() == set()
    await scene.holds.release(scene.call)
    assert scene.heard() == {"user"}
    assert room.producers[muted].producer.paused


async def test_of_who_mutes_meanwhile_the_other_hears_when_it_is_over(scene):
    room = scene.room
    by_party = {owned.party: key for key, owned in room.producers.items()}
    await room.set_producer_paused("user", by_party["user"], True)
    await scene.holds.hold(scene.call, None)
    await room.set_producer_paused("user", by_party["user"], False)
    await room.set_producer_paused("otomo", by_party["otomo"], True)
    await scene.holds.release(scene.call)

    async def untold() -> str | None:
        user, otomo = await scene.told("user"), await scene.told("otomo")
        wanted = ["paused True"], ["paused False", "resumed True"]
        return f"only {user, otomo}" if (user, otomo) != wanted else None

    await eventually(untold)


async def test_who_comes_meanwhile_is_not_heard_either(scene):
    room = scene.room
    await scene.holds.hold(scene.call, None)
    transport = await room.create_transport("user", "send")
    producer = await room.produce("user", microphone(transport.id, ssrc=9))
    receiver = await room.create_transport("otomo", "recv")
    consumer = await room.consume("otomo", listening(receiver.id, producer.id))
    await room.resume_consumer("otomo", consumer.id)
    assert consumer.paused
    assert room.is_held(consumer.id)
    await scene.holds.release(scene.call)
    assert not consumer.paused


async def test_music_is_played_again_and_again_to_both_and_another_one_takes_its_place(scene):
    await scene.holds.hold(scene.call, await scene.clip("long"))
    await eventually(lambda: len(scene.music()) != 1 and "there is no music")
    [producer_id] = scene.music()
    assert scene.room.offers[producer_id].to == {"user", "otomo"}
    await scene.holds.hold(scene.call, await scene.clip("long"))
    assert scene.music() == [producer_id]
    held = await scene.holds.hold(scene.call, await scene.clip("other"))
    assert held.music == "other"
    await eventually(lambda: (len(scene.music()) != 1 or scene.music() == [producer_id]) and "the first one plays")
    await scene.holds.release(scene.call)
    await eventually(lambda: scene.music() and "it plays")


async def test_another_room_is_on_hold_and_its_music_goes_on_where_it_was(scene, monkeypatch):
    monkeypatch.setattr("app.announcing.holds.LISTEN_WITHIN_S", 0.1)
    await scene.holds.hold(scene.call, await scene.clip("long"))
    await eventually(lambda: not scene.music() and "there is no music")
    listener = await listen(scene.room, scene.music()[0])
    await listener.heard(10)
    scene.room.close()
    scene.call.room = None
    scene.call.epoch += 1
    await scene.enter()
    assert scene.heard() == set()
    await eventually(lambda: not scene.music() and "there is no music")
    following = await listen(scene.room, scene.music()[0])
    await following.heard(1)
    assert int(following.texts[0]) > int(listener.texts[-1])
    await scene.holds.release(scene.call)
    assert scene.heard() == {"user", "otomo"}


async def test_a_hold_is_stored_with_its_call_and_taken_over_with_it(scene):
    held = await scene.holds.hold(scene.call, await scene.clip("long"))
    async with Ledger.open(f"sqlite:///{scene.desk.path}") as heir:
        recovered = await heir.recover(now_ms=now().utc_ms, window_ms=60_000)
    [adopted] = recovered.adopted
    taken = live_call(adopted, now(), 20.0, Terms.by_unit(100).tariff)
    assert taken.held == held
    assert held.music == "long"
    await heir_is_forgotten(scene)


async def heir_is_forgotten(scene: Held) -> None:
    """The call is not this node's any more."""
    scene.desk.lifecycle.lose(scene.call)


async def test_music_that_is_gone_leaves_a_call_on_hold_without(scene, caplog):
    clip = await scene.clip("long")
    await scene.holds.hold(scene.call, clip._replace(name="gone"))
    await eventually(lambda: "on hold without music: there is no clip gone" not in caplog.text and "nothing is said")
    assert scene.heard() == set()


async def test_only_calls_that_both_have_agreed_to_can_be_held(scene):
    agreed_at, scene.call.matched_at = scene.call.matched_at, None
    for refused in (scene.holds.hold(scene.call, None), scene.holds.release(scene.call)):
        with pytest.raises(InvalidCallState):
            await refused
    scene.call.matched_at = agreed_at
    assert scene.call.state is CallState.TALKING
