"""One party of a call: its user id, its REST client, its open WebSocket, and the events that came over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import aiohttp

from voiceplane.client.api import Api
from voiceplane.client.errors import Unreachable
from voiceplane.client.events import AboutCall, read
from voiceplane.loadtest.errors import LoadTestError

AWAITED = ("call_connected", "call_end")
MOVED = "media_moved"


class ReceivedEvent(NamedTuple):
    """One event: when it came, by the loop's clock, and its payload."""

    at: float
    payload: dict[str, Any]


class OnlineParty:
    """Made by `online`. Keeps the events of each call that are `AWAITED`, and its moves, until `forget`."""

    def __init__(self, user_id: str, api: Api, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.user_id = user_id
        self.api = api
        self._socket = socket
        self._events: dict[tuple[str, str], asyncio.Future[ReceivedEvent]] = {}
        self._moves: dict[str, asyncio.Queue[ReceivedEvent]] = {}
        self._closed: LoadTestError | None = None

    @classmethod
    @asynccontextmanager
    async def online(cls, http: aiohttp.ClientSession, base: str, user_id: str, token: str) -> AsyncIterator[Self]:
        """A party whose socket is open until the block is left. Raises Unreachable where it can't be opened."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            socket = await http.ws_connect(f"{base}/ws", headers=headers, max_msg_size=0)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(base, error) from error
        party = cls(user_id, Api(http, base, token), socket)
        listening = asyncio.create_task(party._listen(), name=f"events of {user_id}")
        try:
            yield party
        finally:
            await socket.close()
            await listening

    def event(self, event_type: str, call_id: str) -> asyncio.Future[ReceivedEvent]:
        """The event of that type of that call. Fails with LoadTestError where the socket closes before it comes."""
        future = self._events.setdefault((event_type, call_id), asyncio.get_running_loop().create_future())
        if self._closed is not None:
            _fail(future, self._closed)
        return future

    async def next_move(self, call_id: str) -> ReceivedEvent:
        """The next `media_moved` of that call."""
        return await self._moves_of(call_id).get()

    def forget(self, call_id: str) -> None:
        self._moves.pop(call_id, None)
        for event in AWAITED:
            if future := self._events.pop((event, call_id), None):
                future.cancel()

    async def _listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            received = ReceivedEvent(asyncio.get_running_loop().time(), event["payload"])
            call_id = read(AboutCall, event["payload"], event["type"]).call_id
            if event["type"] in AWAITED:
                future = self.event(event["type"], call_id)
                if not future.done():
                    future.set_result(received)
            elif event["type"] == MOVED:
                self._moves_of(call_id).put_nowait(received)
        self._closed = LoadTestError(f"{self.user_id}'s WebSocket was closed with {self._socket.close_code}")
        for future in self._events.values():
            _fail(future, self._closed)

    def _moves_of(self, call_id: str) -> asyncio.Queue[ReceivedEvent]:
        return self._moves.setdefault(call_id, asyncio.Queue())


def _fail(future: asyncio.Future[ReceivedEvent], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whether anybody waits for it or not
