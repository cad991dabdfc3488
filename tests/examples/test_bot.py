"""`examples/bot.py` at a running node: it answers, says what it has to say, and hangs up, again and again."""

from __future__ import annotations

import os
import signal
import wave
from pathlib import Path

import numpy as np

from app.keys import HUB
from app.person import Person
from app.signaling.limits import CloseCode
from tests.conftest import Server, eventually
from tests.examples.programs import Running, started
from tests.integration.callers import End, Scene, scene
from voiceplane.client.tone import Tone
from voiceplane.testcall import USER_HZ

RATE = 16_000  # Hz
WORDS_HZ = 550.0


async def called(made: Scene[Server], program: Running) -> End:
    """A call that the bot has answered."""
    call = await made.user.call("bot", audio=Tone(USER_HZ))
    end = made.follow(call)
    await program.says(f"answered {call.id}")
    await call.join()
    made.listen(end)
    return end


async def test_whoever_calls_hears_the_file_and_then_the_bot_hangs_up(server, tmp_path):
    file = tmp_path / "words.wav"
    write_tone(file, WORDS_HZ, seconds=3)
    token = server.token("bot", "otomo")
    async with scene(server) as made, started("bot.py", server.base, "--wav", file, TOKEN=token) as program:
        await program.says("connected")
        for _ in range(2):
            end = await called(made, program)
            await end.hears(WORDS_HZ)
            assert (await end.call.ended()).reason == "manual"
            assert (await program.says(f"ended {end.call.id}")).startswith(f"ended {end.call.id}: manual, ")
        await program.interrupt()


async def test_the_bot_comes_back_after_a_loss_and_hangs_up_before_it_goes(server):
    token = server.token("bot", "otomo")
    async with scene(server) as made, started("bot.py", server.base, "--seconds", 60, TOKEN=token) as program:
        await program.says("connected")
        for socket in tuple(server.app[HUB]._sockets[Person("otomo", "bot")]):
            socket.close(CloseCode.GOING_AWAY)
        await program.says("reconnecting")
        await program.says("connected")
        end = await called(made, program)
        await end.hears(440.0)
        os.kill(program.process.pid, signal.SIGTERM)
        assert (await end.call.ended()).reason == "manual"
        await program.end()
    await eventually(lambda: [repr(call) for call in server.registry])


def write_tone(file: Path, hz: float, seconds: float) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * hz * np.arange(seconds * RATE) / RATE)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(wave_form.astype(np.int16).tobytes())
