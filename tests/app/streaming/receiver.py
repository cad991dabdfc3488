"""Where audio streams go: a WebSocket server on loopback that keeps what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from msgspec import json

from tests.conftest import eventually


@dataclass
class Connection:
    headers: dict[str, str]
    socket: web.WebSocketResponse
    texts: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    over: bool = False

    @property
    def start(self) -> dict[str, Any]:
        return self.texts[0]

    async def heard(self, frames: int) -> list[bytes]:
        await eventually(lambda: len(self.frames) < frames and f"{len(self.frames)} of {frames} frames", 30.0)
        return self.frames


@dataclass
class Receiver:
    """``reads`` is whether connections are read from."""

    url: str = ""
    connections: list[Connection] = field(default_factory=list)
    refuses: bool = False
    reads: asyncio.Event = field(default_factory=asyncio.Event)

    async def connected(self, count: int = 1) -> list[Connection]:
        def why_not() -> str | None:
            ready = [one for one in self.connections if one.texts]
            return f"{len(ready)} of {count} connections" if len(ready) < count else None

        await eventually(why_not, 30.0)
        return self.connections

    async def leg(self, role: str) -> Connection:
        await eventually(lambda: self._of(role) is None and f"the {role} is not streamed", 30.0)
        return self._of(role)

    def _of(self, role: str) -> Connection | None:
        return next((one for one in reversed(self.connections) if one.texts and one.start["role"] == role), None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(dict(request.headers), socket)
        self.connections.append(connection)
        await self.reads.wait()
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                connection.frames.append(message.data)
            elif message.type is WSMsgType.TEXT:
                connection.texts.append(json.decode(message.data))
            await self.reads.wait()
        connection.over = True
        return socket


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.reads.set()
    app = web.Application()
    app.router.add_get("/", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        yield receiver
    finally:
        receiver.reads.set()
        await runner.cleanup()
