"""A back end that is told: an HTTP server on loopback that keeps what it gets, and answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from msgspec import json
from standardwebhooks import Webhook

from tests.conftest import eventually


@dataclass(frozen=True)
class Received:
    """A request as it came; ``at`` is the event loop's time."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        return json.decode(self.body)

    @property
    def type(self) -> str:
        return self.message["type"]

    @property
    def data(self) -> dict[str, Any]:
        return self.message["data"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The message, as the specification's own library reads it. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[Received], Awaitable[web.StreamResponse]]


async def no_content(_: Received) -> web.StreamResponse:
    return web.Response(status=204)


def always(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(_: Received) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@dataclass
class Receiver:
    base: str
    answer: Answer = no_content
    got: list[Received] = field(default_factory=list)
    busy: int = 0  # requests that are not answered yet
    most_busy: int = 0

    def url(self, path: str = "/hook") -> str:
        return self.base + path

    def types(self, path: str = "/hook") -> list[str]:
        return [one.type for one in self.got if one.path == path]

    def of_type(self, type_: str) -> list[Received]:
        return [one for one in self.got if one.type == type_]

    async def until(self, count: int, within_s: float = 10.0) -> list[Received]:
        """The first so many requests, once they are there."""
        await eventually(lambda: len(self.got) < count and f"it has got {self.types()}", within_s)
        return self.got[:count]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        one = Received(request.path, headers, await request.read(), asyncio.get_running_loop().time())
        self.got.append(one)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            return await self.answer(one)
        finally:
            self.busy -= 1


@asynccontextmanager
async def receiving(answer: Answer = no_content, port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver("", answer)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
