"""Receives what the parties of a node's calls say, live, and writes when each of them speaks and how loud.

    python examples/transcribe_live.py --port 9090
    VOICEPLANE_AUDIO_STREAM_URL=ws://127.0.0.1:9090/ voiceplane serve

A node with ``AUDIO_STREAM_URL`` opens one WebSocket for each leg: a JSON text first, then 20 ms of 16 kHz mono PCM in
each binary message. ``Recogniser`` is a stand-in, which tells speech from silence by its energy: the place for a real
one. With ``--token`` only who shows it is let in, as ``AUDIO_STREAM_TOKEN`` does.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import hmac
import json
import math
import sys
from collections.abc import Iterator
from contextlib import suppress

from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler

FRAME_S = 0.02
SPEECH = -45.0  # dBov: louder is speech
PAUSE_S = 0.5  # silence that ends a stretch of speech


class Recogniser:
    """Hears one leg. Give each frame to a recogniser of your own instead, and yield what it says."""

    def __init__(self) -> None:
        self._at_s = 0.0  # since the leg's beginning
        self._began_s: float | None = None
        self._spoken_s = 0.0  # when speech was heard last
        self._loudest = -127.0

    def hear(self, frame: bytes) -> Iterator[str]:
        level = loudness(frame)
        self._at_s += FRAME_S
        if level > SPEECH:
            if self._began_s is None:
                self._began_s, self._loudest = self._at_s - FRAME_S, level
            self._spoken_s, self._loudest = self._at_s, max(self._loudest, level)
        elif self._at_s - self._spoken_s > PAUSE_S:
            yield from self.finish()

    def miss(self, frames: int) -> None:
        """So many frames never came."""
        self._at_s += frames * FRAME_S

    def finish(self) -> Iterator[str]:
        if self._began_s is not None:
            yield f"speech from {self._began_s:.1f} s to {self._spoken_s:.1f} s, up to {self._loudest:.0f} dBov"
        self._began_s = None


def loudness(frame: bytes) -> float:
    """dBov: 0 is as loud as can be, silence is -127 (RFC 6464 §3)."""
    samples = array.array("h", frame)
    if sys.byteorder == "big":
        samples.byteswap()
    power = math.fsum(sample * sample for sample in samples) / len(samples) / 32768**2 if samples else 0.0
    return max(-127.0, 10 * math.log10(power)) if power else -127.0


async def leg(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    who, recogniser = "somebody", Recogniser()
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            for line in recogniser.hear(message.data):
                print(f"{who}: {line}", flush=True)
        elif message.type is WSMsgType.TEXT:
            told = json.loads(message.data)
            if told["type"] == "start":
                who = f"{told['callId']} {told['role']}"
                print(f"{who}: begins at {told['at']}", flush=True)
            elif told["type"] == "gap":
                recogniser.miss(told["frames"])
    for line in recogniser.finish():
        print(f"{who}: {line}", flush=True)
    print(f"{who}: is over", flush=True)
    return socket


def allowed(token: str | None) -> web.Application:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "")
        if token is not None and not hmac.compare_digest(shown.encode(), f"Bearer {token}".encode()):
            raise web.HTTPUnauthorized
        return await handler(request)

    app = web.Application(middlewares=[check])
    app.router.add_get("/", leg)
    return app


async def main(host: str, port: int, token: str | None) -> None:
    runner = web.AppRunner(allowed(token))
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        print(f"listening on ws://{host}:{runner.addresses[0][1]}/", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=9090, help="(default: 9090; 0 takes a free one)")
    parser.add_argument("--token", help="what the node has to show")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.host, given.port, given.token))
