"""A node that has nothing but its WebSocket: the real endpoint behind the real guard, on loopback."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from app.access.ratelimit import RateLimiter
from app.access.tokens import Authenticator, Claims, Keyring, Rules, issue_token
from app.errors import CallNotFound, Forbidden, InvalidCallState, OtomoOffline
from app.http.middleware import guard
from app.keys import AUTHENTICATOR, HTTP_OBSERVERS, RATE_LIMITER
from app.person import Person
from app.rest.socket import Endpoint
from app.settings import Settings
from app.signaling.commands import build_commands
from app.signaling.connection import Replay
from app.signaling.dispatch import Dispatcher
from app.signaling.hub import Event, Hub
from app.signaling.limits import PATH, SOCKET_BURST, SOCKETS_PER_USER, Limits
from schemas.call import CallState
from schemas.people import Availability
from schemas.types import Role
from tests.app.signaling.recent_events import RecentEvents

SECRET = "a secret of the tests, long enough for HS256"
PATIENCE_S = 10.0


@dataclass
class Desked:
    call_id: str
    user_id: str
    otomo_id: str
    state: CallState


class Desk:
    """Calls in memory, with the rules that the commands' tests need."""

    def __init__(self) -> None:
        self.calls: dict[str, Desked] = {}
        self.reasons: list[str | None] = []
        self.statuses: dict[str, Availability] = {}
        self.gate: asyncio.Event | None = None  # where set, ending a call waits for it

    async def set_status(self, claims: Claims, status: Availability) -> None:
        self.statuses[claims.user_id] = status

    async def request_call(
        self, claims: Claims, otomo_id: str, call_id: str | None, _metadata: Mapping[str, str] | None
    ) -> Desked:
        claims.require_caller()
        if otomo_id == "nobody":
            raise OtomoOffline(otomo_id)
        call = Desked(call_id or f"call-{len(self.calls) + 1}", claims.user_id, otomo_id, CallState.RINGING)
        self.calls[call.call_id] = call
        return call

    async def accept(self, claims: Claims, call_id: str) -> Desked:
        return self._move(claims, call_id, CallState.RINGING, CallState.MATCHED, by="otomo_id")

    async def reject(self, claims: Claims, call_id: str, reason: str | None) -> Desked:
        self.reasons.append(reason)
        return self._move(claims, call_id, CallState.RINGING, CallState.ENDED, by="otomo_id")

    async def cancel(self, claims: Claims, call_id: str, reason: str | None) -> Desked:
        self.reasons.append(reason)
        return self._move(claims, call_id, CallState.RINGING, CallState.ENDED, by="user_id")

    async def end(self, claims: Claims, call_id: str, reason: str | None) -> Desked:
        if self.gate is not None:
            await self.gate.wait()
        if call_id == "broken":
            raise RuntimeError("a mistake of ours")
        self.reasons.append(reason)
        return self._move(claims, call_id, CallState.MATCHED, CallState.ENDED, by="user_id")

    def _move(self, claims: Claims, call_id: str, before: str, after: str, *, by: str) -> Desked:
        call = self.calls.get(call_id)
        if call is None:
            raise CallNotFound(call_id)
        if getattr(call, by) != claims.user_id:
            raise Forbidden(claims.user_id)
        if call.state != before:
            raise InvalidCallState(call_id)
        call.state = after
        return call


@dataclass
class Node:
    base: str
    hub: Hub
    recent: RecentEvents
    endpoint: Endpoint
    desk: Desk
    settings: Settings
    authenticator: Authenticator
    session: aiohttp.ClientSession
    runner: web.AppRunner

    def token(self, user_id: str = "ann", role: str = "user", ttl_s: float = 3600.0) -> str:
        return issue_token(self.settings, user_id, role, ttl_s)

    def headers(self, user_id: str = "ann", role: str = "user") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user_id, role)}"}

    async def connect(
        self, user_id: str = "ann", role: str = "user", since: object = None, **options: Any
    ) -> aiohttp.ClientWebSocketResponse:
        url = f"{self.base}/ws" + ("" if since is None else f"?since={since}")
        return await self.session.ws_connect(url, headers=self.headers(user_id, role), **options)

    def publish(self, user_id: str = "ann", role: Role = "user", **payload: Any) -> Event:
        """Keep an event and publish it."""
        event = self.recent.append(Person(role, user_id), "otomo_status", payload)
        self.hub.publish(event)
        return event


@asynccontextmanager
async def serving(
    tmp_path: Any,
    *,
    limits: Limits | None = None,
    rate: float = 0,
    replay: Callable[[RecentEvents], Replay] | None = None,
    clock: Callable[[], float] = time.time,
    sockets_per_user: int = SOCKETS_PER_USER,
    socket_rate: float = 0,
) -> AsyncIterator[Node]:
    """Run a node; no rate limit unless one is given."""
    settings = Settings(jwt_secret=SECRET, data_dir=tmp_path)
    hub, recent, desk, limiter = Hub(sockets_per_user), RecentEvents(1), Desk(), RateLimiter(rate)
    app = web.Application(middlewares=[guard])
    app[AUTHENTICATOR] = Authenticator(Keyring.of_secret(SECRET), Rules())
    app[RATE_LIMITER] = RateLimiter(0)
    app[HTTP_OBSERVERS] = []
    dispatcher = Dispatcher(build_commands(desk, desk.set_status), limiter)
    read = recent.replay if replay is None else replay(recent)
    openings = RateLimiter(socket_rate, burst=SOCKET_BURST)
    endpoint = Endpoint(hub, dispatcher, read, limits or Limits(), openings, clock)
    app.router.add_get(PATH, endpoint.handle, allow_head=False)
    app.on_shutdown.append(endpoint.shut_down)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            base = f"http://{host}:{port}"
            yield Node(base, hub, recent, endpoint, desk, settings, app[AUTHENTICATOR], session, runner)
    finally:
        await runner.cleanup()


async def next_message(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next JSON message; anything else, a close included, fails the test."""
    message = await socket.receive(timeout=PATIENCE_S)
    assert message.type is WSMsgType.TEXT, f"{message!r}, close code {socket.close_code}"
    return msgspec.json.decode(message.data)


async def ask(socket: aiohttp.ClientWebSocketResponse, type_: str, request_id: object = None, **payload: Any) -> Any:
    """Give a command and return the next message."""
    envelope = {"type": type_, "payload": payload}
    await socket.send_str(
        msgspec.json.encode(envelope | ({} if request_id is None else {"requestId": request_id})).decode()
    )
    return await next_message(socket)


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read to the end, and return what the server closed with."""
    while (message := await socket.receive(timeout=PATIENCE_S)).type not in {
        WSMsgType.CLOSE,
        WSMsgType.CLOSED,
        WSMsgType.ERROR,
    }:
        pass
    return message.data if message.type is WSMsgType.CLOSE else socket.close_code


class RawClient:
    """A WebSocket client that reads a byte only when told to, and answers nothing by itself."""

    def __init__(self, tcp: socket.socket) -> None:
        self._tcp = tcp
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, node: Node, user_id: str = "ann", receive_buffer: int = 4096, path: str = "/ws"
    ) -> AsyncIterator[RawClient]:
        with socket.socket() as tcp:
            tcp.setblocking(False)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client = cls(tcp)
            await client._handshake(node, user_id, path)
            yield client

    async def send(self, opcode: int, message: bytes = b"", *, fin: bool = True) -> None:
        """One frame (RFC 6455 §5.2), masked with zeros."""
        length = len(message)
        if length < 126:
            head = bytes([0x80 | length])
        elif length < 1 << 16:
            head = struct.pack("!BH", 0x80 | 126, length)
        else:
            head = struct.pack("!BQ", 0x80 | 127, length)
        await self.send_bytes(bytes([(0x80 if fin else 0) | opcode]) + head + bytes(4) + message)

    async def send_bytes(self, raw: bytes) -> None:
        await self._loop.sock_sendall(self._tcp, raw)

    async def receive(self) -> tuple[int, bytes] | None:
        """The next frame as opcode and content, or None where the server closed TCP in order."""
        async with asyncio.timeout(PATIENCE_S):
            if not await self._fill(2):
                return None
            length, start = self._received[1] & 0x7F, 2
            if length >= 126:
                start = 4 if length == 126 else 10
                await self._fill(start)
                length = int.from_bytes(self._received[2:start], "big")
            await self._fill(start + length)
            opcode, content = self._received[0] & 0x0F, bytes(self._received[start : start + length])
            del self._received[: start + length]
            return opcode, content

    async def receive_all(self) -> list[tuple[int, bytes]]:
        """Every frame until the server closes TCP."""
        frames = []
        while (frame := await self.receive()) is not None:
            frames.append(frame)
        return frames

    async def _fill(self, size: int) -> bool:
        while len(self._received) < size:
            chunk = await self._loop.sock_recv(self._tcp, 65536)
            if not chunk:
                return False
            self._received += chunk
        return True

    async def _handshake(self, node: Node, user_id: str, path: str) -> None:
        host, port = node.base.removeprefix("http://").split(":")
        await self._loop.sock_connect(self._tcp, (host, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {node.token(user_id)}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        await self.send_bytes("\r\n".join((*lines, "", "")).encode())
        while b"\r\n\r\n" not in self._received:
            assert await self._fill(len(self._received) + 1)
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        self._received[:] = rest
