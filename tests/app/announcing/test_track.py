"""What a track sends, packet by packet, as a listener on a real worker receives it."""

from __future__ import annotations

import asyncio

from app.announcing.clip import FRAME_SAMPLES
from app.announcing.pacer import BEAT_S, Pacer
from app.announcing.track import Track
from tests.app.announcing.stage import clip, listen, staged
from tests.conftest import eventually


async def test_a_clip_is_sent_packet_by_packet_on_one_clock(native_worker):
    async with staged(native_worker) as stage:
        room = stage.call.room
        track = await Track.open(room, "announcement", ("user",), Pacer())
        [offer] = room.offers.values()
        listener = await listen(room, offer.producer.id)
        assert await track.play(clip("a", 10))
        assert await track.play(clip("b", 5))
        await listener.heard(15)
        track.close()
    assert listener.texts == [*(f"a {at}" for at in range(10)), *(f"b {at}" for at in range(5))]
    first = listener.packets[0]
    for at, packet in enumerate(listener.packets):
        assert packet.sequence == (first.sequence + at) % 2**16
        assert (packet.timestamp - first.timestamp) % 2**32 == at * FRAME_SAMPLES
        assert packet.marked is (at == 0)


async def test_silence_between_two_clips_is_as_long_on_the_clock_as_it_was(native_worker):
    async with staged(native_worker) as stage:
        room = stage.call.room
        track = await Track.open(room, "announcement", ("user",), Pacer())
        listener = await listen(room, next(iter(room.offers)))
        await track.play(clip("a", 2))
        await asyncio.sleep(5 * BEAT_S)  # the silence itself
        await track.play(clip("b", 2))
        await listener.heard(4)
        track.close()
    last_of_a, first_of_b = listener.packets[1:3]
    assert first_of_b.marked
    assert first_of_b.sequence == (last_of_a.sequence + 1) % 2**16
    gap = (first_of_b.timestamp - last_of_a.timestamp) % 2**32
    assert gap % FRAME_SAMPLES == 0
    assert gap >= 5 * FRAME_SAMPLES


async def test_music_is_played_again_and_again_from_where_it_is_to_begin(native_worker):
    async with staged(native_worker) as stage:
        room = stage.call.room
        track = await Track.open(room, "music", ("user", "otomo"), Pacer())
        listener = await listen(room, next(iter(room.offers)))
        playing = asyncio.create_task(track.play(clip("m", 3), begin=1, again=True))
        await listener.heard(8)
        assert 0 <= track.at < 3
        track.close()
        assert await playing is False
    assert listener.texts[:6] == ["m 1", "m 2", "m 0", "m 1", "m 2", "m 0"]
    assert [packet.marked for packet in listener.packets] == [True, *[False] * (len(listener.packets) - 1)]


async def test_a_track_ends_with_its_room_and_leaves_the_beat(native_worker):
    pacer = Pacer()
    async with staged(native_worker) as stage:
        track = await Track.open(stage.call.room, "announcement", ("user",), pacer)
        playing = asyncio.create_task(track.play(clip("a", 1000)))
        await asyncio.sleep(0)
        stage.call.room.close()
        assert await playing is False
        assert await track.play(clip("b", 1)) is False
        assert track.closed
    assert not any(phase.players for phase in pacer._phases)


async def test_it_is_known_when_somebody_receives_it(native_worker):
    async with staged(native_worker) as stage:
        room = stage.call.room
        track = await Track.open(room, "announcement", ("user",), Pacer())
        assert await track.heard(0.1) is False
        await stage.receive("user", next(iter(room.offers)))
        assert await track.heard(10.0) is True
        track.close()
        await eventually(lambda: room.offers and "it is offered")
        assert await track.heard(10.0) is False
