"""One party of a call: its user id, its REST client, its WebSocket, which reconnects as every client's does, and the
events that came over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import aiohttp

from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.client.events import AboutCall, read
from voiceplane.client.socket import Hooks, Socket
from voiceplane.loadtest.errors import LoadTestError

AWAITED = ("call_connected", "call_end")
MOVED = "media_moved"


class ReceivedEvent(NamedTuple):
    """One event: when it came, by the loop's clock, and its payload."""

    at: float
    payload: dict[str, Any]


class OnlineParty:
    """Made by `online`. Keeps the events of each call that are `AWAITED`, and its moves, until `forget`.

    `losses` is how often its socket was lost.
    """

    def __init__(self, user_id: str, api: Api) -> None:
        self.user_id = user_id
        self.api = api
        self.losses = 0
        self._events: dict[tuple[str, str], asyncio.Future[ReceivedEvent]] = {}
        self._moves: dict[str, asyncio.Queue[ReceivedEvent]] = {}
        self._closed: LoadTestError | None = None

    @classmethod
    @asynccontextmanager
    async def online(cls, http: aiohttp.ClientSession, base: str, user_id: str, token: str) -> AsyncIterator[Self]:
        """A party whose socket is kept open until the block is left. Raises ClientError where it can't be opened."""
        party = cls(user_id, Api(http, base, token))
        socket = Socket(party.api, Hooks(party._take, lambda: None, party._note_loss, party._fail_all))
        socket.busy = True  # as with a client during a call
        await socket.open()
        try:
            yield party
        finally:
            await socket.close()

    def event(self, event_type: str, call_id: str) -> asyncio.Future[ReceivedEvent]:
        """The event of that type of that call. Fails with LoadTestError where the socket is closed for good before."""
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

    def _take(self, event_type: str, payload: dict[str, Any]) -> None:
        if event_type not in AWAITED and event_type != MOVED:
            return
        received = ReceivedEvent(asyncio.get_running_loop().time(), payload)
        call_id = read(AboutCall, payload, event_type).call_id
        if event_type == MOVED:
            self._moves_of(call_id).put_nowait(received)
        elif not (future := self.event(event_type, call_id)).done():
            future.set_result(received)

    def _note_loss(self) -> None:
        self.losses += 1

    def _fail_all(self, error: ClientError) -> None:
        self._closed = LoadTestError(f"{self.user_id}'s WebSocket is closed for good: {error}")
        for future in self._events.values():
            _fail(future, self._closed)

    def _moves_of(self, call_id: str) -> asyncio.Queue[ReceivedEvent]:
        return self._moves.setdefault(call_id, asyncio.Queue())


def _fail(future: asyncio.Future[ReceivedEvent], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whether anybody waits for it or not
