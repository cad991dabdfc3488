"""Every example as a program: what it prints and writes, over real workers, with sound that is measured."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
import wave
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from app.announcing.clip import read_clip
from app.streaming.orders import Configuration, LegOpened
from app.streaming.process import DecodingProcess
from tests.app.streaming.sound import spoken
from tests.app.streaming.test_process import say
from tests.conftest import eventually
from tests.examples.programs import EXAMPLES, PROGRAMS, run, started
from worker_bridge import Consumer, Worker

RATE = 16_000  # Hz
TOLERANCE_HZ = 5.0


def sound_of(file: Path) -> np.ndarray:
    """A file's sound, mono."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(file)) as container:
        pieces = [piece.to_ndarray()[0] for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate(pieces)


def loudest_hz(samples: np.ndarray, how_many: int = 1) -> list[float]:
    """The strongest frequencies that lie apart, low to high."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    bin_hz = RATE / len(samples)
    found: list[float] = []
    for index in np.argsort(spectrum)[::-1]:
        if all(abs(index * bin_hz - other) > 10 * TOLERANCE_HZ for other in found):
            found.append(index * bin_hz)
        if len(found) == how_many:
            return sorted(found)
    raise AssertionError(f"only {found}")


def heard(lines: list[str]) -> list[int]:
    """The frequencies that an example says it heard."""
    return [int(found[1]) for line in lines if (found := re.search(r"(\d+) Hz", line))]


async def test_a_transcriber_gets_the_sound_as_pcm(tmp_path):
    file = tmp_path / "heard.wav"
    lines = await run("transcribe.py", "--seconds", 2, "--hz", 600, "--wav", file)
    assert lines == ["second 1: -13 dBov, 600 Hz", "second 2: -13 dBov, 600 Hz"]
    with wave.open(str(file)) as written:
        assert (written.getframerate(), written.getnchannels(), written.getsampwidth()) == (RATE, 1, 2)
        assert written.getnframes() == 2 * RATE
    assert loudest_hz(sound_of(file)) == pytest.approx([600], abs=TOLERANCE_HZ)


async def test_a_recording_has_all_parties_in_one_file(tmp_path):
    file = tmp_path / "call.ogg"
    lines = await run("record_call.py", file, "--seconds", 2, "--hz", 440, 660)
    assert [line.partition(":")[0] for line in lines] == ["second 1", "second 2", str(file)]
    sound = sound_of(file)
    assert len(sound) / RATE == pytest.approx(2, abs=0.5)
    assert loudest_hz(sound, 2) == pytest.approx([440, 660], abs=TOLERANCE_HZ)


async def test_a_recording_has_everybody_where_they_spoke(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    record_call, voice = importlib.import_module("record_call"), importlib.import_module("voice")
    file = tmp_path / "call.wav"
    async with Worker.running() as worker:
        router = await worker.create_router([voice.OPUS])
        async with (
            voice.singing(router, 440, -20, 1) as first,
            voice.singing(router, 660, -20, 2) as late,
            voice.singing(router, 880, -20, 3) as mute,
        ):
            await late.pause()
            await mute.pause()
            async with record_call.recording(router, [first, late, mute], file) as (always, sometimes, never):
                await eventually(partial(not_yet, always, 50))
                await late.resume()
                await eventually(partial(not_yet, sometimes, 50))
                assert await not_yet(never, 1)
    sound = sound_of(file)
    half = RATE // 2
    assert loudest_hz(sound[:half]) == pytest.approx([440], abs=TOLERANCE_HZ)
    assert np.abs(np.fft.rfft(sound[:half]))[330] < np.abs(np.fft.rfft(sound[-half:]))[330] / 10  # 660 Hz
    assert loudest_hz(sound[-half:], 2) == pytest.approx([440, 660], abs=TOLERANCE_HZ)
    assert len(sound) / RATE == pytest.approx(2, abs=0.5)


async def not_yet(consumer: Consumer, packets: int) -> str:
    sent = (await consumer.get_stats())[0]["packet_count"]
    return f"{sent} of {packets} packets" if sent < packets else ""


async def test_an_interrupted_recording_is_complete(tmp_path):
    file = tmp_path / "call.ogg"
    async with started("record_call.py", file, "--seconds", 60, "--hz", 440) as program:
        await program.says("second 2")
        await program.interrupt()
    assert loudest_hz(sound_of(file)) == pytest.approx([440], abs=TOLERANCE_HZ)


async def test_a_file_is_heard_in_the_room(tmp_path):
    file = tmp_path / "tone.wav"
    write_tone(file, 550, seconds=2.5)
    lines = await run("play_file.py", file)
    assert heard(lines) == [550, 550]
    assert re.fullmatch(r"ffmpeg ended with 0; 12\d packets came", lines[-1])


async def test_a_file_that_is_none_is_told(tmp_path):
    file = tmp_path / "no.wav"
    async with started("play_file.py", file) as program:
        _, complaints = await program.process.communicate()
        assert program.process.returncode == 1
        assert "No such file" in complaints.decode()


async def test_levels_and_speakers_are_told():
    lines = await run("audio_levels.py", "--seconds", 1.5)
    levels = [re.findall(r"(\w+) (-\d+) dBov", line) for line in lines if line.startswith("loud")]
    softest = {name: min(int(level) for one in levels for who, level in one if who == name) for name in ("Aki", "Chie")}
    assert softest["Aki"] > softest["Chie"] + 20
    ends = [lines.index("Ben begins"), lines.index("Chie begins"), len(lines)]
    speakers = [[line for line in lines[:end] if line.startswith("speaks most")][-1] for end in ends]
    assert speakers == ["speaks most: Aki", "speaks most: Ben", "speaks most: Chie"]


async def test_another_worker_hears_the_voice():
    lines = await run("two_workers.py", "--seconds", 2, "--hz", 700, "--srtp")
    assert heard(lines) == [700, 700]


async def test_messages_reach_those_whom_they_are_for():
    lines = await run("messages.py")
    assert [line for line in lines if line.startswith("guest")] == ["guest: welcome", "guest: 0001"]
    assert [line for line in lines if line.startswith("staff")] == [
        "staff: welcome",
        "staff: table 4 wants to pay",
        "staff: 0001",
    ]


async def test_a_clip_is_made_of_a_file_or_of_tones_and_can_be_played(tmp_path):
    tones, again = tmp_path / "tones.opus", tmp_path / "again.opus"
    assert await run("make_clip.py", "--tones", "600 1000, 0 500, 600+900 500", tones) == [f"{tones}: 2000 ms"]
    await run("make_clip.py", tones, again)
    for file in (tones, again):
        assert 2000 <= read_clip(file.stem, file.read_bytes()).duration_ms <= 2100
        sound = sound_of(file)
        assert loudest_hz(sound[: RATE // 2]) == pytest.approx([600], abs=TOLERANCE_HZ)
        assert loudest_hz(sound[int(1.6 * RATE) : int(1.9 * RATE)], 2) == pytest.approx([600, 900], abs=TOLERANCE_HZ)


async def test_a_live_transcriber_says_who_speaks_when():
    async with started("transcribe_live.py", "--port", 0, "--token", "a-token") as running:
        url = (await running.says("listening on ")).removeprefix("listening on ")
        async with DecodingProcess.running(Configuration(url, "a-token")) as process:
            await eventually(lambda: process._process is None and "it has not begun", 30.0)
            process.open_leg(1, LegOpened("call", "user", "ann", "hana", 0), time.monotonic())
            await say(process, spoken(1.0))
            await running.says("call user: begins at 1970-01-01")
            said = await running.says("call user: speech from ")
            assert re.fullmatch(r"call user: speech from 0\.\d s to 1\.\d s, up to -1\d dBov", said)
            process.close_leg(1, "manual")
            await running.says("call user: is over")
        await running.interrupt()


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_says_what_an_example_shows(name: str):
    said = subprocess.run([sys.executable, EXAMPLES / name, "--help"], capture_output=True, text=True, check=True)
    assert f"python examples/{name}" in said.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "first_words"),
    [
        ("two_workers.py", ["--seconds", "60"], "heard"),
        ("transcribe.py", ["--seconds", "60"], "second 1"),
        ("audio_levels.py", ["--seconds", "60"], "loud"),
        ("play_file.py", ["--lavfi", "sine=440"], "heard"),
    ],
)
async def test_ctrl_c_ends_an_example_in_order(name: str, arguments: list[str], first_words: str):
    async with started(name, *arguments) as program:
        await program.says(first_words)
        await program.interrupt()


async def test_an_example_whose_worker_dies_says_so():
    async with started("two_workers.py", "--seconds", 60) as program:
        first = await program.says("worker")
        await program.says("heard")
        os.kill(int(first.split()[1]), signal.SIGKILL)
        _, complaints = await program.process.communicate()
        assert program.process.returncode == 1
        assert "the voice ended: <Producer" in complaints.decode()


def write_tone(file: Path, hz: float, seconds: float) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * hz * np.arange(seconds * RATE) / RATE)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(wave_form.astype(np.int16).tobytes())
