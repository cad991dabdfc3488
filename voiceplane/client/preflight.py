"""Whether a call would work, seen without one: the API, the WebSocket, and whether sound comes back from the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import aiohttp

from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.client.socket import Hooks, Socket
from voiceplane.client.tokens import Token

ROUNDS = 3  # of which the quickest counts: the first opens the connection

Looked = Literal[True] | ClientError
"""What works, or why it does not."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What works is True, what does not is its error, and None is what could not be looked at.

    `round_trip_ms` is to the server and back, by HTTP. `udp` is media by UDP to the server itself, and `mos` how it
    comes back, 1 to 4.5; both need pymediasoup. `tcp` and `turn` are always None: aiortc has no ICE over TCP, and can't
    be told to use nothing but a TURN server. So is `microphone`: a program's tracks are its own.
    """

    http: Looked
    websocket: Looked
    udp: Looked | None = None
    tcp: None = None
    turn: None = None
    microphone: None = None
    round_trip_ms: float | None = None
    mos: float | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing that was looked at fails."""
        return not any(isinstance(one, ClientError) for one in (self.http, self.websocket, self.udp))


async def preflight(url: str, token: Token) -> Preflight:
    """Ask a server, open a WebSocket for a moment, and send a quiet tone, which the server returns, for some seconds.

    Nobody is rung, and nothing is charged. Raises nothing: what fails is in the answer.
    """
    async with aiohttp.ClientSession() as http:
        api = Api(http, url, token)
        try:
            quickest_ms = await _timed(api)
        except ClientError as error:
            return Preflight(error, error)
        websocket = await _worked(lambda: _open_socket(api))
        udp, mos = await _heard(api)
        return Preflight(True, websocket, udp, round_trip_ms=quickest_ms, mos=mos)


async def _timed(api: Api) -> float:
    loop, quickest_ms = asyncio.get_running_loop(), float("inf")
    for _ in range(ROUNDS):
        began_at = loop.time()
        await api.request("GET", "/rtc/capabilities")
        quickest_ms = min(quickest_ms, (loop.time() - began_at) * 1000)
    return quickest_ms


async def _open_socket(api: Api) -> None:
    socket = Socket(api, Hooks(event=_nobody, up=_nobody, down=_nobody, over=_nobody))
    await socket.open()
    await socket.close()


async def _heard(api: Api) -> tuple[Looked | None, float | None]:
    """Whether sound comes back, and how. None where that can't be looked at."""
    try:
        from voiceplane.client.echo import echo
    except ImportError:  # without pymediasoup
        return None, None
    try:
        return True, await echo(api)
    except ClientError as error:
        return (None if error.code == "NOT_FOUND" else error), None  # an older server has no such room


async def _worked(what: Callable[[], Awaitable[None]]) -> Looked:
    try:
        await what()
    except ClientError as error:
        return error
    return True


def _nobody(*_: object) -> None:
    pass
