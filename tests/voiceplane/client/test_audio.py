"""Whatever is said, and however often the transport is another one, what is sent and heard is one stream of frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from tests.conftest import eventually
from voiceplane.client.audio import FRAME_SAMPLES, KEPT_FRAMES, SAMPLE_RATE, Loudspeaker, Microphone, rms
from voiceplane.client.tone import AMPLITUDE, Tone


class Pieces(MediaStreamTrack):
    """So many frames of a constant loudness, as fast as they are asked for; then it ends."""

    kind = "audio"

    def __init__(self, count: int, rate: int = SAMPLE_RATE, samples: int = FRAME_SAMPLES, layout: str = "mono") -> None:
        super().__init__()
        self.taken = 0
        self._count = count
        self._rate = rate
        self._shape = (1, samples * (2 if layout == "stereo" else 1))
        self._layout = layout

    async def recv(self) -> AudioFrame:
        if self.taken == self._count or self.readyState != "live":
            raise MediaStreamError
        frame = AudioFrame.from_ndarray(np.full(self._shape, 3000, np.int16), format="s16", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self.taken * 7, Fraction(1, self._rate)
        self.taken += 1
        return frame


async def frames_of(track: MediaStreamTrack, count: int) -> list[AudioFrame]:
    return [await track.recv() for _ in range(count)]


@pytest.mark.parametrize(
    ("rate", "samples", "layout"), [(48_000, 960, "mono"), (44_100, 1024, "stereo"), (8_000, 160, "mono")]
)
async def test_frames_of_any_kind_become_20_ms_of_48_khz(rate, samples, layout):
    microphone = Microphone(Pieces(100, rate, samples, layout))
    frames = await frames_of(microphone.outlet(), 40)
    assert {(one.sample_rate, one.samples, one.layout.name) for one in frames} == {(SAMPLE_RATE, FRAME_SAMPLES, "mono")}
    assert [one.pts for one in frames] == [number * FRAME_SAMPLES for number in range(40)]
    assert rms(frames[20]) == pytest.approx(3000 / 32768, rel=0.1)
    microphone.stop()


async def test_a_second_outlet_goes_on_where_the_first_one_is_and_both_get_the_same():
    source = Pieces(1000)
    microphone = Microphone(source)
    first, second = microphone.outlet(), microphone.outlet()
    early = await frames_of(first, 10)
    by_second = await frames_of(second, 20)
    by_first = await frames_of(first, 20)
    assert [one.pts for one in by_first] == [one.pts for one in by_second]
    assert by_first[0].pts == early[-1].pts + FRAME_SAMPLES
    first.stop()
    assert len(await frames_of(second, 5)) == 5
    with pytest.raises(MediaStreamError):
        await first.recv()
    microphone.stop()
    assert source.readyState == "ended"


async def test_what_has_been_said_is_followed_by_silence_at_its_pace():
    loop, microphone = asyncio.get_running_loop(), Microphone(Pieces(5))
    outlet = microphone.outlet()
    await frames_of(outlet, 5)
    began_at = loop.time()
    silence = await frames_of(outlet, 6)
    assert loop.time() - began_at >= 0.09
    assert {rms(one) for one in silence} == {0.0}
    assert (microphone.level, silence[-1].pts) == (0.0, 10 * FRAME_SAMPLES)
    microphone.stop()


async def test_a_muted_microphone_sends_silence_and_goes_on_reading():
    source = Pieces(100)
    microphone = Microphone(source)
    outlet = microphone.outlet()
    await frames_of(outlet, 5)
    microphone.muted = True
    assert {rms(one) for one in await frames_of(outlet, 5)} == {0.0}
    assert microphone.level > 0
    microphone.muted = False
    assert rms(await outlet.recv()) > 0
    assert source.taken == 11
    microphone.stop()


async def test_another_track_takes_over_and_the_former_is_stopped():
    former, latter = Pieces(1000), Tone(440.0)
    microphone = Microphone(former)
    outlet = microphone.outlet()
    await frames_of(outlet, 3)
    microphone.change(latter)
    assert former.readyState == "ended"
    frames = await frames_of(outlet, 10)
    assert rms(frames[5]) == pytest.approx(AMPLITUDE / 2**0.5, rel=0.05)
    microphone.stop()


async def test_what_comes_by_another_transport_goes_on_in_the_same_stream():
    speaker = Loudspeaker()
    await speaker.play(Pieces(5))
    await speaker.play(Pieces(5))
    heard = [(await speaker.recv()).pts for _ in range(10)]
    assert heard == sorted(set(heard))
    assert heard[5] - heard[4] >= FRAME_SAMPLES
    speaker.stop()
    with pytest.raises(MediaStreamError):
        await speaker.recv()


async def test_what_nobody_listens_to_is_dropped_and_counted():
    speaker = Loudspeaker()
    await speaker.play(Pieces(KEPT_FRAMES + 50))
    assert speaker.frames == KEPT_FRAMES + 50
    assert (await speaker.recv()).pts == 50 * 7
    assert speaker.level > 0
    speaker.stop()


class Fed(MediaStreamTrack):
    """Frames of 20 ms that a test gives, one by one."""

    kind = "audio"

    def __init__(self, layout: str = "stereo") -> None:
        super().__init__()
        self._layout = layout
        self._frames: asyncio.Queue[AudioFrame] = asyncio.Queue()
        self._count = 0

    def give(self, value: int) -> None:
        shape = (1, FRAME_SAMPLES * (2 if self._layout == "stereo" else 1))
        frame = AudioFrame.from_ndarray(np.full(shape, value, np.int16), format="s16", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._count * FRAME_SAMPLES, Fraction(1, 48_000)
        self._count += 1
        self._frames.put_nowait(frame)

    async def recv(self) -> AudioFrame:
        return await self._frames.get()


@asynccontextmanager
async def heard(voice: Fed, *beside: Fed) -> AsyncIterator[Loudspeaker]:
    loudspeaker = Loudspeaker()
    tasks = [asyncio.create_task(loudspeaker.play(voice))]
    tasks += [asyncio.create_task(loudspeaker.play_beside(one)) for one in beside]
    yield loudspeaker
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    loudspeaker.stop()


@pytest.mark.parametrize("layout", ["mono", "stereo"])
async def test_a_voice_and_what_is_heard_beside_it_are_one_sound(layout):
    voice, music, supervisor = Fed(layout), Fed(), Fed("mono")
    async with heard(voice, music, supervisor) as loudspeaker:
        voice.give(100)
        assert (await loudspeaker.recv()).to_ndarray().mean() == 100
        music.give(1000)
        supervisor.give(30_000)
        await eventually(lambda: sum(one.samples for one in loudspeaker._beside) < 2 * FRAME_SAMPLES and "not there")
        voice.give(100)
        frame = await loudspeaker.recv()
        assert (frame.samples, frame.sample_rate, frame.layout.name) == (FRAME_SAMPLES, SAMPLE_RATE, "stereo")
        assert frame.to_ndarray().mean() == 31_100
        assert loudspeaker.level == pytest.approx(100 / 32768)
        voice.give(100)
        assert (await loudspeaker.recv()).to_ndarray().mean() == 100
        assert loudspeaker.frames == 3


async def test_what_is_heard_beside_a_voice_is_heard_without_one():
    voice, music = Fed(), Fed()
    async with heard(voice, music) as loudspeaker:
        for _ in range(3):
            music.give(500)
        frames = [await loudspeaker.recv() for _ in range(3)]
        assert [frame.to_ndarray().mean() for frame in frames] == [500] * 3
        assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})
        assert (loudspeaker.frames, loudspeaker.level) == (0, 0)


async def test_a_sum_that_is_too_loud_is_cut_off():
    voice, music = Fed(), Fed()
    async with heard(voice, music) as loudspeaker:
        voice.give(-30_000)
        await loudspeaker.recv()
        music.give(-30_000)
        await eventually(lambda: not loudspeaker._beside[0].samples and "not there")
        voice.give(-30_000)
        assert (await loudspeaker.recv()).to_ndarray().mean() == -32_768
