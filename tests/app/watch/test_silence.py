"""Which calls are silent, and from when on. Levels of real sound come in `tests/integration/test_silence.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from app.calls.call import EndReason, Hold, LiveCall
from app.media.room import Room
from app.watch.silence import SilenceWatch
from schemas.call import CallState
from schemas.producer import ProduceRequest
from schemas.types import PartyRole
from tests.app.media.rooms_on_worker import OPUS, worker_in_slot
from tests.app.media.test_microphones import LEVELS
from tests.conftest import eventually
from worker_bridge.rtp import RtpEncodingParameters, RtpParameters
from worker_bridge.rtp_observer import Volume

WARNING_S, END_S = 60.0, 120.0


@dataclass
class Scene:
    """A call that talks, in a room where both send."""

    desk: object
    watch: SilenceWatch
    call: LiveCall
    room: Room

    def pass_time(self, seconds: float) -> None:
        """As if the call had been silent for so long already."""
        watched = self.watch._calls[self.call.id]
        watched.since -= seconds
        for producer_id in watched.speech._spoken_at:
            watched.speech._spoken_at[producer_id] -= seconds
        self.watch.look([self.call])

    def producer(self, party: PartyRole):
        [owned] = [one for one in self.room.producers.values() if one.party == party]
        return owned.producer

    def tell_level(self, party: PartyRole, level: int = -90) -> None:
        """What the worker tells of a microphone."""
        self.room.microphones._observer.events.emit("volumes", (Volume(self.producer(party), level),))

    def speak(self, party: PartyRole) -> None:
        speech = self.watch._calls[self.call.id].speech
        speech._observer.events.emit("volumes", (Volume(self.producer(party), -30),))

    async def told(self, times: int) -> list[dict]:
        """What the user was told, as soon as it was."""
        told = self.desk.audience.payloads

        def why_not() -> str | None:
            found = told("call_silent", self.call.parties.user)
            return f"told {len(found)} times" if len(found) < times else None

        await eventually(why_not)
        found = told("call_silent", self.call.parties.user)
        assert found == told("call_silent", self.call.parties.otomo)
        return found


async def sends(room: Room, party: PartyRole, ssrc: int, extensions) -> None:
    transport = await room.create_transport(party, "send")
    request = {"call_id": "call", "transport_id": transport.id, "kind": "audio"}
    parameters = RtpParameters((OPUS,), extensions, (RtpEncodingParameters(ssrc=ssrc),), mid="0")
    producer = await room.produce(party, ProduceRequest(**request, rtp_parameters=parameters))
    await room.microphones.observe(producer)


@pytest.fixture
def extensions():
    return LEVELS


@pytest.fixture
async def scene(native_worker, desk, extensions) -> AsyncIterator[Scene]:
    async with worker_in_slot(native_worker) as slot:
        desk.slot = slot
        watch = SilenceWatch(desk.registry, desk.lifecycle, desk.journal, WARNING_S, END_S)
        call = await desk.talking()
        room = await desk.rooms.open(call.id, call.parties, call.epoch)
        desk.lifecycle.enter_room(call, room)
        for ssrc, party in enumerate(("user", "otomo"), 1):
            await sends(room, party, ssrc, extensions)
        speech = watch._calls[call.id].speech
        observed = 2 if extensions else 0
        await eventually(lambda: speech._observer is None and observed and "speech is not observed")
        made = Scene(desk, watch, call, room)
        if extensions:
            made.tell_level("user")
            made.tell_level("otomo")
        yield made
        await watch.close()


async def test_both_are_told_once_and_then_the_call_ends(scene):
    scene.pass_time(WARNING_S - 1)
    assert scene.desk.audience.payloads("call_silent") == []
    scene.pass_time(1)
    scene.pass_time(1)
    [told] = await scene.told(1)
    assert (told["callId"], told["silentSeconds"]) == ("call", WARNING_S)
    assert told["endsAt"] > told["at"]
    scene.pass_time(END_S - WARNING_S)
    await eventually(lambda: "call" in scene.desk.registry and "it lives")
    stored = await scene.desk.ledger.call("call")
    assert (stored.state, stored.end_reason) == (CallState.ENDED, EndReason.SILENCE)
    assert scene.watch._calls == {}


@pytest.mark.parametrize("speaker", ["user", "otomo"])
async def test_who_speaks_begins_it_anew(scene, speaker):
    scene.pass_time(WARNING_S + 1)
    await scene.told(1)
    scene.speak(speaker)
    scene.pass_time(0)
    scene.pass_time(WARNING_S - 1)
    assert len(await scene.told(1)) == 1
    scene.pass_time(2)
    assert len(await scene.told(2)) == 2
    assert scene.call.live


async def test_a_muted_party_says_nothing(scene):
    for owned in scene.room.producers.values():
        owned.muted = True
    scene.room.microphones._levels.clear()
    scene.pass_time(WARNING_S + 1)
    await scene.told(1)


async def test_whose_levels_are_not_known_may_be_speaking(scene):
    scene.room.microphones._levels.pop(scene.producer("otomo").id)
    scene.pass_time(10 * END_S)
    scene.tell_level("otomo")
    scene.pass_time(WARNING_S - 1)
    assert scene.desk.audience.payloads("call_silent") == []
    assert scene.call.live


@pytest.mark.parametrize("extensions", [()])
async def test_clients_without_levels_are_never_judged(scene):
    scene.pass_time(10 * END_S)
    scene.pass_time(10 * END_S)
    assert scene.desk.audience.payloads("call_silent") == []
    assert scene.call.live


async def test_a_party_that_does_not_send_may_be_speaking_elsewhere(scene):
    scene.producer("user").close()
    scene.pass_time(10 * END_S)
    assert scene.call.live


@pytest.mark.parametrize("pause", ["interrupted", "on hold"])
async def test_an_interrupted_or_held_call_is_not_judged_and_begins_anew(scene, pause):
    scene.pass_time(WARNING_S - 1)
    if pause == "interrupted":
        scene.call.state = CallState.INTERRUPTED
    else:
        scene.call.held = Hold(0, None)
    scene.pass_time(10 * END_S)
    scene.call.state, scene.call.held = CallState.TALKING, None
    scene.pass_time(WARNING_S - 1)
    assert scene.desk.audience.payloads("call_silent") == []
    scene.pass_time(1)
    await scene.told(1)


async def test_another_room_begins_anew(scene):
    scene.pass_time(WARNING_S - 1)
    room = await scene.desk.rooms.open(scene.call.id, scene.call.parties, 2)
    scene.desk.lifecycle.enter_room(scene.call, room)
    assert scene.watch._calls[scene.call.id].room is room
    scene.pass_time(WARNING_S - 1)
    assert scene.desk.audience.payloads("call_silent") == []
