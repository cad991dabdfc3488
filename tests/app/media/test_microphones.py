"""Which microphones can be judged. Real levels come in `tests/integration/test_call_quality.py`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from app.media.codecs import codecs_of
from app.media.levels import AUDIO_LEVEL
from app.media.microphones import NO_SOUND, STALE_AFTER_S, WINDOW_S, Microphones
from worker_bridge.connectivity import ListenInfo
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp import (
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
)
from worker_bridge.rtp_observer import Volume
from worker_bridge.worker import Worker

OPUS = (RtpCodecParameters("audio/opus", 111, 48000, 2),)
LEVELS = (RtpHeaderExtensionParameters(AUDIO_LEVEL, 10),)


class Clock:
    """One that a test moves."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def router(native_worker) -> AsyncIterator[Router]:
    async with Worker.running(native_worker) as worker:
        yield await worker.create_router(codecs_of({"audio"}))


async def microphone(router: Router, ssrc: int, extensions=LEVELS) -> Producer:
    transport = await router.create_plain_transport(ListenInfo("udp", "127.0.0.1"), comedia=True)
    encodings = (RtpEncodingParameters(ssrc=ssrc),)
    return await transport.produce("audio", RtpParameters(OPUS, extensions, encodings))


def hear(microphones: Microphones, producer: Producer, volume: int) -> None:
    """What the worker tells once a window."""
    microphones._observer.events.emit("volumes", (Volume(producer, volume),))


async def test_who_sends_no_levels_is_not_judged(router):
    microphones = Microphones(router)
    producer = await microphone(router, 1, extensions=())
    await microphones.observe(producer)
    assert (await router.dump())["rtp_observer_ids"] == []
    assert (microphones.level(producer.id), microphones.dead_since(producer.id)) == (None, None)


async def test_one_observer_listens_to_all_of_a_room(router):
    microphones = Microphones(router)
    for ssrc in (1, 2):
        await microphones.observe(await microphone(router, ssrc))
    assert len((await router.dump())["rtp_observer_ids"]) == 1


async def test_a_window_without_any_sound_is_a_dead_microphone_and_one_with_some_is_none(router):
    clock = Clock()
    microphones = Microphones(router, clock)
    producer = await microphone(router, 1)
    await microphones.observe(producer)
    began = clock.now
    for volume, dead_since in ((-90, None), (NO_SOUND, began), (NO_SOUND, began), (-126, None)):
        hear(microphones, producer, volume)
        assert microphones.level(producer.id) == volume
        assert microphones.dead_since(producer.id) == dead_since
        clock.now += WINDOW_S


async def test_what_was_heard_long_ago_says_nothing(router):
    clock = Clock()
    microphones = Microphones(router, clock)
    producer = await microphone(router, 1)
    await microphones.observe(producer)
    hear(microphones, producer, NO_SOUND)
    clock.now += STALE_AFTER_S
    assert (microphones.level(producer.id), microphones.dead_since(producer.id)) == (None, None)


async def test_of_a_producer_that_closed_nothing_is_kept(router):
    microphones = Microphones(router)
    producer = await microphone(router, 1)
    await microphones.observe(producer)
    hear(microphones, producer, NO_SOUND)
    assert microphones.some_dead
    producer.close()
    assert not microphones.some_dead
    await microphones.observe(producer)  # too late is no error
