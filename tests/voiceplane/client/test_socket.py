"""The WebSocket comes back from everything that a server or a network may do to it, and each event is told once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from voiceplane.client import socket as socket_module
from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.client.socket import Hooks, Socket

PATIENCE_S = 10.0
Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


class Peer:
    """A server whose sockets are served by one function after another; `since` is what each handshake asked for."""

    def __init__(self, *serve: Serve) -> None:
        self.since: list[str | None] = []
        self._serve = list(serve)

    async def accept(self, request: web.Request) -> web.WebSocketResponse:
        self.since.append(request.query.get("since"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self._serve.pop(0)(socket)
        return socket


class Told:
    def __init__(self) -> None:
        self.words: asyncio.Queue[Any] = asyncio.Queue()
        self.hooks = Hooks(
            event=lambda kind, payload: self.words.put_nowait((kind, payload["n"])),
            up=lambda: self.words.put_nowait("up"),
            down=lambda: self.words.put_nowait("down"),
            over=lambda error: self.words.put_nowait(error.code),
        )

    async def next(self, count: int) -> list[Any]:
        async with asyncio.timeout(PATIENCE_S):
            return [await self.words.get() for _ in range(count)]


@asynccontextmanager
async def opened(peer: Peer, *, busy: bool = False) -> AsyncIterator[Told]:
    app = web.Application()
    app.router.add_get("/ws", peer.accept)
    told = Told()
    async with TestServer(app, host="127.0.0.1") as server, aiohttp.ClientSession() as http:
        socket = Socket(Api(http, str(server.make_url("")), "a token"), told.hooks)
        socket.busy = busy
        await socket.open()
        try:
            yield told
        finally:
            await socket.close()


def sends(*numbers: int, code: int = 1001) -> Serve:
    async def serve(socket: web.WebSocketResponse) -> None:
        for number in numbers:
            await socket.send_json({"type": "number", "payload": {"n": number}, "seq": number})
        await socket.close(code=code)

    return serve


async def waits(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def test_a_socket_that_is_closed_comes_back_with_the_last_number_and_tells_no_event_twice():
    peer = Peer(sends(3, 5), sends(5, 8), waits)
    async with opened(peer, busy=True) as told:
        assert await told.next(3) == ["up", ("number", 3), ("number", 5)]
        assert await told.next(3) == ["down", "up", ("number", 8)]
        assert await told.next(2) == ["down", "up"]
    assert peer.since == [None, "5", "8"]


async def test_a_server_that_stands_still_is_left_within_a_call(monkeypatch):
    monkeypatch.setattr(socket_module, "BUSY_S", 0.1)
    monkeypatch.setattr(socket_module, "BUSY_PONG_WITHIN_S", 0.3)
    unanswered: asyncio.Queue[str] = asyncio.Queue()
    answered: asyncio.Queue[str] = asyncio.Queue()

    async def stands_still(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            unanswered.put_nowait(message.data)

    async def answers(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            await socket.send_json({"type": "pong", "payload": {}})
            answered.put_nowait(message.data)

    async with opened(Peer(stands_still, answers), busy=True) as told:
        assert await told.next(3) == ["up", "down", "up"]
        assert unanswered.get_nowait() == '{"type":"ping","payload":{}}'
        assert unanswered.empty()
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(5):  # longer than one that does not answer is borne with
                await answered.get()
        assert told.words.empty()


async def test_an_answer_that_came_while_we_stood_still_counts(monkeypatch):
    monkeypatch.setattr(socket_module, "BUSY_S", 0.1)
    monkeypatch.setattr(socket_module, "BUSY_PONG_WITHIN_S", 0.2)
    answered: asyncio.Queue[str] = asyncio.Queue()

    async def answers_and_stops_everything(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            await socket.send_json({"type": "pong", "payload": {}})
            time.sleep(0.5)  # noqa: ASYNC251  the whole process, this client included
            answered.put_nowait(message.data)

    async with opened(Peer(answers_and_stops_everything), busy=True) as told:
        assert await told.next(1) == ["up"]
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(3):
                await answered.get()
        assert told.words.empty()


@pytest.mark.parametrize(("code", "why"), [(4003, "REPLACED"), (4403, "BANNED")])
async def test_some_codes_are_final(code, why):
    async with opened(Peer(sends(1, code=code))) as told:
        assert await told.next(3) == ["up", ("number", 1), why]


async def test_a_server_without_a_socket_is_an_error_of_ours():
    app = web.Application()
    async with TestServer(app, host="127.0.0.1") as server, aiohttp.ClientSession() as http:
        with pytest.raises(ClientError) as failure:
            await Socket(Api(http, str(server.make_url("")), "a token"), Told().hooks).open()
    assert failure.value.code == "UNEXPECTED_ANSWER"
