"""A client's WebSocket for tests: commands with their answers, and what the client was told, in its order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.conftest import Server
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused

PATIENCE_S = 20.0

Message = dict[str, Any]


class Client:
    """One open socket. ``told`` are the server's events so far, whole, in the order in which they came; ``lists`` are
    those of otomos, which have no number.

    ``came_ms`` says when each came, by its number, in UTC milliseconds.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.told: list[Message] = []
        self.lists: list[Message] = []
        self.came_ms: dict[int, int] = {}
        self._socket = socket
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._changed = asyncio.Condition()
        self._last_id = 0
        self._ended = asyncio.Event()

    async def command(self, command: str, **payload: Any) -> Message:
        """Send a command, its payload in the wire's spelling, and return its answer."""
        self._last_id += 1
        request_id = f"request-{self._last_id}"
        answer = self._answers[request_id] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json({"type": command, "payload": payload, "requestId": request_id})
            async with asyncio.timeout(PATIENCE_S):
                return await answer
        finally:
            del self._answers[request_id]

    async def until(self, event_type: str, call_id: str | None = None, *, count: int = 1) -> Message:
        """The payload of the ``count``-th event of that type, as soon as it has come."""
        found: list[Message] = []

        def came() -> bool:
            found[:] = self.payloads(event_type, call_id)
            return len(found) >= count

        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(came)
        except TimeoutError:
            heard = [event["type"] for event in self.told]
            raise AssertionError(f"{len(found)} of {count} {event_type} came, only {heard}") from None
        return found[count - 1]

    def payloads(self, event_type: str, call_id: str | None = None) -> list[Message]:
        """Of every event of that type so far, of any call or of one."""
        found = (event["payload"] for event in self.told if event["type"] == event_type)
        return [payload for payload in found if call_id in (None, payload.get("callId"))]

    def story(self, call_id: str) -> list[str]:
        """The types of the events of one call, in the order in which they came."""
        return [event["type"] for event in self.told if event["payload"].get("callId") == call_id]

    def reads_in_order(self) -> bool:
        """Whether the numbers rose from event to event."""
        numbers = [event["seq"] for event in self.told]
        return numbers == sorted(set(numbers))

    @property
    def close_code(self) -> int | None:
        """With which the server has closed it; None while it is open."""
        return self._socket.close_code

    async def close(self) -> None:
        """Leave; ``told`` is complete then."""
        await self._socket.close()
        await self._ended.wait()

    async def listen(self) -> None:
        """Until the socket closes."""
        try:
            await self._listen()
        finally:
            self._ended.set()

    async def _listen(self) -> None:
        async for message in self._socket:
            said = message.json()
            waiting = self._answers.get(said.get("requestId", ""))
            if waiting is not None:
                waiting.set_result(said)
                continue
            if said["type"] == "otomo_list":
                self.lists.append(said["payload"])
            else:
                self.came_ms[said["seq"]] = time.time_ns() // 1_000_000
                self.told.append(said)
            async with self._changed:
                self._changed.notify_all()


@asynccontextmanager
async def connected(
    http: aiohttp.ClientSession, base: str, token: str, *, since: int | None = None
) -> AsyncIterator[Client]:
    """A client that the server counts as online; ``since`` asks for what came after that number."""
    query = {} if since is None else {"since": str(since)}
    headers = {"Authorization": f"Bearer {token}"}
    async with http.ws_connect(f"{base}/ws", params=query, headers=headers) as socket:
        client = Client(socket)
        listening = asyncio.create_task(client.listen(), name="a client listens")
        try:
            yield client
        finally:
            await client.close()
            await listening


@dataclass(frozen=True)
class Person:
    """Somebody with a token: their REST client and, where they are online, their socket."""

    user_id: str
    api: Api
    socket: Client

    async def refused(self, method: str, path: str, body: Message | None = None) -> tuple[int, str]:
        """(status, code) of a request that has to be refused."""
        try:
            answer = await self.api.request(method, path, body)
        except Refused as error:
            return error.status, error.code
        raise AssertionError(f"{method} {path} was answered with {answer}")


@asynccontextmanager
async def person(server: Server, http: aiohttp.ClientSession, user_id: str, role: str) -> AsyncIterator[Person]:
    """Somebody who is online until the block is left."""
    token = server.token(user_id, role)
    async with connected(http, server.base, token) as socket:
        yield Person(user_id, Api(http, server.base, token), socket)
