"""Whether a call would work, seen without one: the API, the WebSocket, and how far away the server is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp

from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.client.socket import Hooks, Socket
from voiceplane.client.tokens import Token

ROUNDS = 3  # of which the quickest counts: the first opens the connection


@dataclass(frozen=True, slots=True)
class Preflight:
    """What works is None, what does not is its error. `round_trip_ms` is to the server and back, by HTTP."""

    http: ClientError | None
    websocket: ClientError | None
    round_trip_ms: float | None

    @property
    def ok(self) -> bool:
        return self.http is None and self.websocket is None


async def preflight(url: str, token: Token) -> Preflight:
    """Ask a server, and open a WebSocket for a moment. Raises nothing: what fails is in the answer."""
    loop, quickest_ms = asyncio.get_running_loop(), float("inf")
    async with aiohttp.ClientSession() as http:
        api = Api(http, url, token)
        try:
            for _ in range(ROUNDS):
                began_at = loop.time()
                await api.request("GET", "/rtc/capabilities")
                quickest_ms = min(quickest_ms, (loop.time() - began_at) * 1000)
        except ClientError as error:
            return Preflight(error, error, None)
        socket = Socket(api, Hooks(event=_nobody, up=_nobody, down=_nobody, over=_nobody))
        try:
            await socket.open()
        except ClientError as error:
            return Preflight(None, error, quickest_ms)
        await socket.close()
        return Preflight(None, None, quickest_ms)


def _nobody(*_: object) -> None:
    pass
