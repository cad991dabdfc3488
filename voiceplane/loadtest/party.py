"""One party of a call: a user with a token, an open WebSocket, and what was told over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import aiohttp

from voiceplane.client.api import Api
from voiceplane.client.errors import Unreachable
from voiceplane.loadtest.errors import LoadTestError

AWAITED = ("call_connected", "call_end")


class Told(NamedTuple):
    """One event: when it came, by the loop's clock, and its payload."""

    at: float
    payload: dict[str, Any]


class Party:
    """Online from `online` on. Remembers of each call the events that are `AWAITED`, until it is forgotten."""

    def __init__(self, user_id: str, api: Api, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.user_id = user_id
        self.api = api
        self._socket = socket
        self._told: dict[tuple[str, str], asyncio.Future[Told]] = {}
        self._closed: LoadTestError | None = None

    @classmethod
    @asynccontextmanager
    async def online(cls, http: aiohttp.ClientSession, base: str, user_id: str, token: str) -> AsyncIterator[Self]:
        """A party whose socket is open until the block is left. :raises Unreachable: it can't be opened."""
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

    def told(self, event: str, call_id: str) -> asyncio.Future[Told]:
        """When that event of that call comes, or has come. Fails with LoadTestError if the socket closes first."""
        future = self._told.setdefault((event, call_id), asyncio.get_running_loop().create_future())
        if self._closed is not None:
            _fail(future, self._closed)
        return future

    def forget(self, call_id: str) -> None:
        for event in AWAITED:
            if future := self._told.pop((event, call_id), None):
                future.cancel()

    async def _listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            if event["type"] in AWAITED:
                future = self.told(event["type"], event["payload"]["callId"])
                if not future.done():
                    future.set_result(Told(asyncio.get_running_loop().time(), event["payload"]))
        self._closed = LoadTestError(f"{self.user_id}'s WebSocket was closed with {self._socket.close_code}")
        for future in self._told.values():
            _fail(future, self._closed)


def _fail(future: asyncio.Future[Told], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whether anybody waits for it or not
