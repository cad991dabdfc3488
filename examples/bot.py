"""An otomo that answers whoever calls, says something, and hangs up: a client program, without a browser.

    TOKEN=JWT python examples/bot.py https://voice.example.com --wav hello.wav

It says a file, of any kind that FFmpeg reads, or else a tone, and then it is silent for a moment and hangs up. Ctrl-C
hangs up whatever call there is, too. The connection may go and come back, and a call may move to another worker in the
middle of a word: the client sees to that. Needs voiceplane's media libraries: pip install 'voiceplane[call]'.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path

from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaPlayer

from voiceplane.client import Call, ClientError, ConnectionChanged, Ended, Moved, Voiceplane
from voiceplane.client.tone import Tone

PAUSE_S = 1.0  # of silence, before it hangs up


class Bot:
    """Says `wav`, or `hz` for `seconds`, to everybody who calls."""

    def __init__(self, wav: Path | None, hz: float, seconds: float) -> None:
        self._wav = wav
        self._hz = hz
        self._seconds = seconds

    async def answer(self, call: Call) -> None:
        events, words = call.events(), self._words()
        spoken = asyncio.Event()
        words.on("ended", spoken.set)
        try:
            await call.accept(words)
            print(f"answered {call.id}", flush=True)
            hanging_up = asyncio.create_task(self._hang_up_after(call, words, spoken))
        except ClientError as error:  # who called may have given up
            print(f"no call: {error.code}", flush=True)
            return
        async for event in events:
            if isinstance(event, Moved):
                print(f"moved {call.id}", flush=True)
            elif isinstance(event, Ended):
                print(f"ended {call.id}: {event.reason}, {event.duration_seconds} s", flush=True)
        await hanging_up

    def _words(self) -> MediaStreamTrack:
        if self._wav is None:
            return Tone(self._hz)
        track = MediaPlayer(str(self._wav)).audio
        if track is None:
            raise SystemExit(f"there is no sound in {self._wav}")
        return track

    async def _hang_up_after(self, call: Call, words: MediaStreamTrack, spoken: asyncio.Event) -> None:
        """Once all is said, which a call that ends says, too."""
        if isinstance(words, Tone):
            await words.sent(round(self._seconds * 50))
        else:
            await spoken.wait()
        await asyncio.sleep(PAUSE_S)
        await call.hang_up()


def tell_state(change: ConnectionChanged) -> None:
    print(change.state, flush=True)


async def main(url: str, token: str, bot: Bot) -> None:
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    client = Voiceplane(url, token)
    client.on("state", tell_state)
    client.on("incoming", bot.answer)
    client.on("state", lambda change: interrupted.set() if change.state == "closed" else None)
    async with client:
        await interrupted.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the server's, as in https://voice.example.com")
    parser.add_argument("--wav", type=Path, metavar="FILE", help="what to say")
    parser.add_argument("--hz", type=float, default=440.0, help="the tone, where there is no file (default: 440)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the tone is (default: 5)")
    arguments = parser.parse_args()
    bot = Bot(arguments.wav, arguments.hz, arguments.seconds)
    asyncio.run(main(arguments.url, os.environ["TOKEN"], bot))
