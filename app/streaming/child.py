"""The process that decodes what parties say and sends it on: ``python -m app.streaming.child``. It ends with its
standard input. A burst of sound, a slow receiver or a broken packet costs the node nothing here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

import aiohttp
import msgspec

from app.streaming.leg_socket import Counts, LegSocket
from app.streaming.orders import Configuration, Kind, LegClosed, LegOpened, Order, Orders
from app.streaming.pcm import Pcm
from app.tasks import Tasks

TICK_S = 0.1
REPORT_EVERY_S = 1.0
READ_BYTES = 256 * 1024
END_WITHIN_S = 6.0
NICE = 5  # the node itself comes first


class Child:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._configuration: Configuration | None = None
        self._legs: dict[int, tuple[LegSocket, Pcm]] = {}
        self._tasks = Tasks()
        self.counts = Counts()

    def obey(self, order: Order) -> None:
        match order.kind:
            case Kind.CONFIGURE:
                self._configuration = msgspec.json.decode(order.content, type=Configuration)
            case Kind.OPEN if self._configuration is not None:
                opened = msgspec.json.decode(order.content, type=LegOpened)
                socket = LegSocket(opened, self._configuration, self._session, self.counts)
                self._legs[order.leg] = socket, Pcm(order.at)
                self._tasks.start(socket.run(), f"{opened.role} of {opened.call_id}")
            case Kind.PACKET if (leg := self._legs.get(order.leg)) is not None:
                for frame in leg[1].hear(order.content):
                    leg[0].put(frame)
            case Kind.CLOSE if (leg := self._legs.pop(order.leg, None)) is not None:
                leg[0].end(msgspec.json.decode(order.content, type=LegClosed).reason)

    def pass_time(self, now: float) -> None:
        for socket, pcm in self._legs.values():
            for frame in pcm.pass_time(now):
                socket.put(frame)

    async def close(self) -> None:
        """Send what is queued, for a moment."""
        for socket, _ in self._legs.values():
            socket.end("node_stops")
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await self._tasks.wait()
        await self._tasks.close()


async def main() -> None:
    os.nice(NICE)
    reader = asyncio.StreamReader(limit=READ_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    read = Orders()
    async with aiohttp.ClientSession() as session:
        child = Child(session)
        beating = asyncio.create_task(beat(child), name="the passing of time")
        try:
            while data := await reader.read(READ_BYTES):
                for order in read.feed(data):
                    child.obey(order)
        finally:
            beating.cancel()
            await child.close()
            report(child)


async def beat(child: Child) -> None:
    reported_at = 0.0
    while True:
        await asyncio.sleep(TICK_S)
        now = time.monotonic()
        child.pass_time(now)
        if now - reported_at >= REPORT_EVERY_S:
            reported_at = now
            report(child)


def report(child: Child) -> None:
    with suppress(BrokenPipeError):  # the node is gone
        sys.stdout.buffer.write(msgspec.json.encode(child.counts.take()) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
