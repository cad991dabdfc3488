"""The WebSocket: events in their order, each once, and reconnecting after every loss without missing any.

Knows `seq` and close codes, and nothing of calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from msgspec import UNSET

from voiceplane.client.api import Api, seconds
from voiceplane.client.backoff import Backoff
from voiceplane.client.errors import BadAnswer, ClientError, Refused, SocketClosed, Unreachable
from voiceplane.client.events import Message

OPEN_WITHIN_S = 4.0
PONG_WITHIN_S, BUSY_PONG_WITHIN_S = 4.0, 3.0  # otherwise the node hangs, or the network is gone
CALM_S, BUSY_S = 15.0, 2.0  # silence after which a ping is sent: without a call, and during one
LOOK_AGAIN_S = 0.1  # for what has come and is not read yet, where this process itself stood still
FIRST_WAIT_S, LONGEST_WAIT_S, LONGEST_BUSY_WAIT_S = 0.3, 8.0, 1.0
STEADY_AFTER_S = 5.0  # a socket that was open so long was no failed attempt
CLOSE_WITHIN_S = 0.5

TOKEN_CODES = frozenset({4001, 4401})  # the token has expired, or was withdrawn: another one is needed
FINAL_CODES = {4003: "REPLACED", 4403: "BANNED"}


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the socket tells its owner. None of these may raise or wait."""

    event: Callable[[str, dict[str, Any]], None]  # type and payload
    up: Callable[[], None]  # it is open, for the first time or again
    down: Callable[[], None]  # it was lost, and is reconnecting
    over: Callable[[ClientError], None]  # it is closed for good


class Socket:
    """While `busy`, as during a call, it notices a loss sooner, and reconnects faster."""

    def __init__(self, api: Api, hooks: Hooks) -> None:
        self.busy = False
        self._api = api
        self._hooks = hooks
        self._seq: int | None = None
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._first: aiohttp.ClientWebSocketResponse | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open it, and keep it open until `close`. Raises ClientError where the first attempt fails."""
        self._first = await self._connect()
        self._keeping = asyncio.create_task(self._keep(self._first), name="the client's WebSocket")

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if self._first is not None:  # a task that is cancelled before it begins tidies nothing up
            await self._first.close()

    async def _keep(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Listen, and reconnect whenever the socket is lost."""
        loop = asyncio.get_running_loop()
        while True:
            opened_at = loop.time()
            self._hooks.up()
            try:
                code = await self._listen(socket)
            finally:
                with suppress(aiohttp.ClientError, TimeoutError):  # it is lost anyway
                    await socket.close()
            if (final := FINAL_CODES.get(code)) is not None:
                return self._hooks.over(SocketClosed(final, f"the server closed the WebSocket with {code}"))
            if loop.time() - opened_at > STEADY_AFTER_S:
                self._backoff.reset()
            self._hooks.down()
            back = await self._come_back()
            if back is None:
                return None
            socket = back

    async def _come_back(self) -> aiohttp.ClientWebSocketResponse | None:
        """The next socket, as soon as there is one; None where there will be none."""
        while True:
            wait_s = self._backoff.next()
            await asyncio.sleep(min(wait_s, LONGEST_BUSY_WAIT_S) if self.busy else wait_s)
            try:
                return await self._connect()
            except Refused as error:
                if error.code == "BANNED":
                    self._hooks.over(error)
                    return None
                await asyncio.sleep(error.retry_after_s or 0)
            except ClientError:  # the server or the network is away: later
                continue

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        """Open a socket, once more with a new token where the first one was refused. Raises ClientError."""
        token = await self._api.tokens.get()
        try:
            return await self._upgraded(token)
        except Refused as error:
            if error.status != 401:
                raise
            self._api.tokens.forget(token)
            if (another := await self._api.tokens.get()) == token:
                raise
        return await self._upgraded(another)

    async def _upgraded(self, token: str) -> aiohttp.ClientWebSocketResponse:
        query = {} if self._seq is None else {"since": str(self._seq)}
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                return await self._api.http.ws_connect(
                    f"{self._api.base}/ws",
                    params=query,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WITHIN_S),
                    max_msg_size=0,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise await self._why_refused(error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(self._api.base, error) from error

    async def _why_refused(self, error: aiohttp.WSServerHandshakeError) -> ClientError:
        """Why the handshake was refused. aiohttp does not keep the answer's body, so the API is asked, which refuses
        alike."""
        try:
            await self._api.request("GET", "/calls?limit=1")
        except ClientError as reason:
            return reason
        if error.status in (429, 503):
            code = "RATE_LIMITED" if error.status == 429 else "DRAINING"
            after_s = seconds(error.headers.get("Retry-After")) if error.headers else None
            return Refused("GET /ws", error.status, code, {}, after_s)
        return BadAnswer("GET /ws", error.status, "it is no WebSocket")

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> int:
        """Read until the socket is lost. Returns its close code, 0 where there was none."""
        loop = asyncio.get_running_loop()
        heard_at, asked_at, is_late = loop.time(), None, False
        while True:
            pace_s, pong_s = (BUSY_S, BUSY_PONG_WITHIN_S) if self.busy else (CALM_S, PONG_WITHIN_S)
            due_at = heard_at + pace_s if asked_at is None else asked_at + pong_s
            try:
                async with asyncio.timeout(LOOK_AGAIN_S if is_late else min(BUSY_S, due_at - loop.time())):
                    message = await socket.receive()
            except TimeoutError:
                if is_late:
                    return 0
                if loop.time() < due_at:
                    continue
                if asked_at is not None:
                    is_late = True
                elif await self._ask(socket):
                    asked_at = loop.time()
                else:
                    return 0
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                return self._close_code(socket)
            heard_at, asked_at, is_late = loop.time(), None, False
            self._take(message.data)

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Send a ping. Returns whether it could be sent."""
        try:
            async with asyncio.timeout(PONG_WITHIN_S):
                await socket.send_str('{"type":"ping","payload":{}}')
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return False
        return True

    def _close_code(self, socket: aiohttp.ClientWebSocketResponse) -> int:
        code = socket.close_code or 0
        if code in TOKEN_CODES:
            self._api.tokens.renew()
        return code

    def _take(self, text: str) -> None:
        message = msgspec.json.decode(text, type=Message)
        if message.request_id is not UNSET or message.type in ("pong", "error"):
            return
        if message.seq is not None:
            if self._seq is not None and message.seq <= self._seq:
                return
            self._seq = message.seq
        self._hooks.event(message.type, message.payload)
