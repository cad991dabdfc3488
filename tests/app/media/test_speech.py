"""Who has spoken, by what the worker tells once a second. Real levels come in `tests/integration/test_silence.py`."""

from __future__ import annotations

from app.media.speech import SPEECH, Speech
from tests.app.media.test_microphones import Clock, microphone, router
from worker_bridge.rtp_observer import Volume

__all__ = ["router"]


async def test_who_was_as_loud_as_speech_has_spoken_then(router):
    clock = Clock()
    speech = Speech(router, clock)
    one, other = await microphone(router, 1), await microphone(router, 2)
    for producer in (one, other):
        await speech.observe(producer)
    assert len((await router.dump())["rtp_observer_ids"]) == 1
    speech._observer.events.emit("volumes", (Volume(one, SPEECH),))
    assert (speech.spoken_at(one.id), speech.spoken_at(other.id)) == (clock.now, None)
    one.close()
    assert speech.spoken_at(one.id) is None


async def test_who_sends_no_levels_is_not_observed_and_who_is_gone_is_no_error(router):
    speech = Speech(router)
    producer = await microphone(router, 1, extensions=())
    await speech.observe(producer)
    assert (await router.dump())["rtp_observer_ids"] == []
    gone = await microphone(router, 2)
    gone.close()
    await speech.observe(gone)
    assert speech.spoken_at(gone.id) is None
