"""The receiver tells tones, silence and gaps apart: what the verdict of a call rests on."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from voiceplane.client.tone import AMPLITUDE, FRAME_SAMPLES, FRAMES_PER_SECOND, SAMPLE_RATE, Tone, ToneReceiver


class Tape(MediaStreamTrack):
    """Plays frames as fast as they are taken, some of them left out."""

    kind = "audio"

    def __init__(self, hz: float, frames: int, without: range = range(0), level: float = 0.3) -> None:
        super().__init__()
        self._left = [number for number in range(frames) if number not in without]
        self._hz = hz
        self._level = level

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(0)
        if not self._left:
            raise MediaStreamError
        number = self._left.pop(0)
        at = np.arange(number * FRAME_SAMPLES, (number + 1) * FRAME_SAMPLES)
        samples = (np.sin(2 * np.pi * self._hz * at / SAMPLE_RATE) * self._level * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = number * FRAME_SAMPLES
        frame.time_base = Fraction(1, SAMPLE_RATE)
        return frame


@pytest.mark.parametrize("hz", [100.0, 440.0, 1000.0, 7040.0])
async def test_the_ear_names_the_tone_to_one_hertz(hz):
    receiver = ToneReceiver()
    await receiver.listen(Tape(hz, FRAMES_PER_SECOND))
    assert receiver.frames == FRAMES_PER_SECOND
    assert receiver.dominant_hz() == pytest.approx(hz, abs=1)
    assert receiver.loudness() == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


async def test_silence_has_no_tone():
    receiver = ToneReceiver()
    assert (receiver.dominant_hz(), receiver.loudness()) == (0.0, 0.0)
    await receiver.listen(Tape(440.0, FRAMES_PER_SECOND, level=0.001))
    assert receiver.dominant_hz() == 0.0


async def test_what_was_forgotten_is_not_heard_again():
    receiver = ToneReceiver()
    await receiver.listen(Tape(440.0, FRAMES_PER_SECOND))
    receiver.forget()
    await receiver.listen(Tape(1000.0, 10))
    assert receiver.dominant_hz() == pytest.approx(1000.0, abs=10)


async def test_each_tone_is_measured_by_itself():
    receiver = ToneReceiver()
    assert receiver.loudness_of(440.0) == 0
    await receiver.listen(Tape(440.0, FRAMES_PER_SECOND))
    assert receiver.loudness_of(440.0) == pytest.approx(AMPLITUDE, rel=0.05)
    assert receiver.loudness_of(1000.0) < AMPLITUDE / 100


async def test_a_gap_counts_as_lost_though_more_frames_come_later():
    receiver = ToneReceiver()
    async with asyncio.TaskGroup() as tasks:
        counted = tasks.create_task(receiver.count(100, within_s=5))
        await asyncio.sleep(0)  # the count begins before the first frame
        tasks.create_task(receiver.listen(Tape(440.0, 200, without=range(20, 50))))
    assert counted.result() == 70
    assert receiver.frames == 170


async def test_counting_ends_when_a_sender_falls_silent():
    receiver = ToneReceiver()
    async with asyncio.TaskGroup() as tasks:
        counted = tasks.create_task(receiver.count(100, within_s=0.2))
        await asyncio.sleep(0)
        tasks.create_task(receiver.listen(Tape(440.0, 31)))
    assert counted.result() == 30  # the first frame is where the count starts from


async def test_a_tone_is_paced_and_ends_when_stopped():
    tone = Tone(440.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    frames = [await tone.recv() for _ in range(6)]
    assert loop.time() - began >= 0.1  # five pauses of 20 ms
    assert [frame.pts for frame in frames] == [number * FRAME_SAMPLES for number in range(6)]
    tone.stop()
    with pytest.raises(MediaStreamError):
        await tone.recv()
