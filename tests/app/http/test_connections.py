"""Connections over real sockets: who is silent, half sent or unread is cut off, and what is no HTTP has our answer."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from app.access.ratelimit import RateLimiter
from app.access.tokens import Authenticator, issue_token
from app.http.connections import MAX_FIELD_BYTES, MAX_FIELDS, MAX_HEADER_BYTES, MAX_TARGET_BYTES, Connections
from app.http.middleware import guard, public
from app.http.responses import json_response
from app.http.server import connections_for, raise_descriptor_limit, served
from app.keys import AUTHENTICATOR, CONNECTIONS, HTTP_OBSERVERS, RATE_LIMITER, SETTINGS
from app.settings import Settings
from tests.conftest import SECRET, eventually

PATIENCE_S = 10.0
HASTY: dict[str, Any] = {"client_timeout_s": 0.3, "keepalive_timeout_s": 0.3}
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = 64 * 1024


@dataclass
class Edge:
    """A server with three routes; ``asked`` counts what reached a handler, ``seen`` what was told to observers."""

    port: int
    connections: Connections
    gate: asyncio.Event
    seen: list[tuple[str, str, int]]
    asked: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def client(self, *sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for one in sent:
                writer.write(one)
            yield reader, writer
        finally:
            writer.close()

    async def answer(self, request: bytes) -> tuple[int, dict[str, Any], bytes]:
        """Status, body and all bytes of what a request is answered with, up to the end of its connection."""
        async with self.client(request) as (reader, _), asyncio.timeout(PATIENCE_S):
            whole = await reader.read()
        head, _, body = whole.partition(b"\r\n\r\n")
        assert b"Content-Type: application/json; charset=utf-8" in head, whole
        return int(head.split()[1]), msgspec.json.decode(body), whole


@asynccontextmanager
async def edge(**changed: Any) -> AsyncIterator[Edge]:
    settings = replace(Settings(jwt_secret=SECRET, port=0), **changed)
    seen: list[tuple[str, str, int]] = []
    app = web.Application(middlewares=[guard])
    app[SETTINGS], app[RATE_LIMITER] = settings, RateLimiter(0)
    app[HTTP_OBSERVERS] = [lambda method, route, status, _: seen.append((method, route, status))]
    app[CONNECTIONS] = Connections(
        settings.max_connections,
        settings.max_connections_per_address,
        settings.client_timeout_s,
        app[HTTP_OBSERVERS],
    )
    gate = asyncio.Event()

    @public
    async def live(_: web.Request) -> web.Response:
        found.asked.append("live")
        return json_response({"status": "live"})

    @public
    async def big(_: web.Request) -> web.Response:
        found.asked.append("big")
        return web.Response(body=bytes(BIG))

    @public
    async def slow(_: web.Request) -> web.Response:
        found.asked.append("slow")
        await gate.wait()
        return json_response({})

    app.add_routes([web.get("/live", live), web.get("/big", big), web.get("/slow", slow)])
    async with Authenticator.open(settings) as app[AUTHENTICATOR], served(app, settings) as base:
        found = Edge(int(base.rpartition(":")[2]), app[CONNECTIONS], gate, seen)
        looking = asyncio.create_task(app[CONNECTIONS].run())
        try:
            yield found
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.connections.CHECK_EVERY_S", 0.05)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the server ends the connection."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


# --- silence and slowness


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /live HTTP/1.1\r\nHost: x\r\n", b"G", LIVE + b"GET /live HTTP/1.1\r\nX: y"],
    ids=["nothing", "half a header", "a byte", "half a header behind a whole one"],
)
async def test_a_header_that_does_not_come_ends_its_connection(sent: bytes) -> None:
    async with edge(**HASTY) as node, node.client(sent) as (reader, _):
        await ended(reader)
        await eventually(lambda: len(node.connections))


@pytest.mark.usefixtures("hurried")
async def test_a_client_that_sends_a_byte_now_and_then_is_no_better() -> None:
    async with edge(client_timeout_s=0.3) as node, node.client(b"GET /live HTTP/1.1\r\nX: ") as (reader, writer):
        dripping = asyncio.create_task(drip(writer))
        await ended(reader)
        dripping.cancel()
        assert node.connections.cuts["header"] == 1


async def drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"X")
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("hurried")
async def test_a_header_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.connections.GRACE_S", 0.1)
    lines = b"".join(b"X%d: %s\r\n" % (number, b"y" * 4000) for number in range(MAX_HEADER_BYTES // 4000 + 1))
    async with edge() as node, node.client(b"GET /live HTTP/1.1\r\n", lines) as (reader, _):
        await ended(reader)
        assert node.connections.cuts["header"] == 1


@pytest.mark.usefixtures("hurried")
async def test_a_connection_is_kept_for_the_next_request_and_closed_where_none_comes() -> None:
    async with edge(keepalive_timeout_s=0.5) as node, node.client(LIVE) as (reader, writer):
        for _ in range(3):
            await reader.readuntil(b"}")
            writer.write(LIVE)
        await ended(reader)
        assert node.asked == ["live"] * 4
        assert not node.connections.cuts


@pytest.mark.usefixtures("hurried")
async def test_who_asks_without_reading_is_answered_no_further_and_cut_off() -> None:
    async with edge(client_timeout_s=0.5) as node:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", node.port))
            with suppress(ConnectionError):
                await loop.sock_sendall(deaf, b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
            await eventually(lambda: not node.connections.cuts["read"])
        assert len(node.asked) * BIG < 16 << 20, "answers pile up for who reads none"


# --- how many


async def test_where_all_places_are_taken_the_longest_silent_one_gives_way() -> None:
    async with (
        edge(max_connections=3) as node,
        node.client(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") as (busy, _),
        node.client() as (first, _),
        node.client() as (second, _),
    ):
        await eventually(lambda: "slow" not in node.asked or len(node.connections) != 3)
        async with node.client(LIVE) as (fourth, _):
            assert b" 200 " in await fourth.readuntil(b"}")
            assert await ended(first) == b""
            node.gate.set()
            assert b" 200 " in await busy.readuntil(b"{}")
            assert not second.at_eof()
            assert node.connections.cuts == {"full": 1}
            assert len(node.connections) == 3


async def test_where_all_have_work_a_further_one_is_refused() -> None:
    slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    async with edge(max_connections=2) as node, node.client(slow) as (first, _), node.client(slow) as (second, _):
        await eventually(lambda: node.asked != ["slow", "slow"])
        assert node.connections.few_left
        status, body, whole = await node.answer(b"")
        assert (status, body["error"]) == (503, "OVERLOADED")
        assert b"Retry-After: 5" in whole
        node.gate.set()
        for reader in (first, second):
            assert b" 200 " in await reader.readuntil(b"{}")
        assert not node.connections.few_left


async def test_one_address_may_have_so_many_and_no_more() -> None:
    async with edge(max_connections_per_address=2) as node, node.client(), node.client() as (_, writer):
        await eventually(lambda: len(node.connections) != 2)
        assert (await node.answer(b""))[:2][0] == 429
        assert node.connections.cuts == {"address": 1}
        writer.close()
        await eventually(lambda: len(node.connections) != 1)
        async with node.client(LIVE) as (reader, _):
            assert b" 200 " in await reader.readuntil(b"}")


async def test_a_place_is_free_again_when_its_connection_ends() -> None:
    async with edge(max_connections=2) as node, aiohttp.ClientSession() as http:
        for _ in range(10):
            async with http.get(f"http://127.0.0.1:{node.port}/live", headers={"Connection": "close"}) as answer:
                assert answer.status == 200
        await eventually(lambda: len(node.connections))


def test_descriptors_are_left_for_the_rest() -> None:
    assert [connections_for(limit) for limit in (100, 512, 1024, 65536, inf)] == [50, 256, 768, 65280, inf]


def test_the_soft_limit_is_raised_as_far_as_connections_need_it_and_no_further() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, limits[1]))
        assert raise_descriptor_limit(500) == 756
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (756, limits[1])
        assert raise_descriptor_limit(100) == 756
        hard = inf if limits[1] == resource.RLIM_INFINITY else limits[1]
        assert raise_descriptor_limit(10_000) == min(10_256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_fewer_descriptors_make_fewer_connections() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with edge(max_connections=1_000_000) as node:
        hard = inf if limits[1] == resource.RLIM_INFINITY else limits[1]
        assert node.connections.most == min(1_000_000, connections_for(hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# --- what is no HTTP

TOKEN = issue_token(Settings(jwt_secret=SECRET), "somebody-quite-secret", "user", 600)


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /live HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode() * 60 + b"\r\n\r\n", 431, "HEADER_TOO_LARGE"),
        (b"GET /live HTTP/1.1\r\nX: " + b"y" * MAX_FIELD_BYTES + b"\r\n\r\n", 431, "HEADER_TOO_LARGE"),
        (b"GET /live HTTP/1.1\r\n" + b"y" * (MAX_FIELD_BYTES + 1) + b": x\r\n\r\n", 431, "HEADER_TOO_LARGE"),
        (b"GET /live?" + b"y" * MAX_TARGET_BYTES + b" HTTP/1.1\r\n\r\n", 414, "URI_TOO_LONG"),
        (b"GET /live HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", 400, "BAD_REQUEST"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "BAD_REQUEST"),
        (TOKEN.encode() + b"\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /live HTTP/1.1\r\nBad\0: " + TOKEN.encode() + b"\r\n\r\n", 400, "BAD_REQUEST"),
        (b"CONNECT evil.example:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405, "METHOD_NOT_ALLOWED"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405, "METHOD_NOT_ALLOWED"),
        (b"GET /live HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n", 417, "EXPECTATION_FAILED"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n", 417, "EXPECTATION_FAILED"),
    ],
    ids=["a long token", "a long value", "a long name", "a long url", "many fields", "tls", "a token alone", "a nul",
         "connect", "options of all", "a strange expectation", "the same of no route"],
)  # fmt: skip
async def test_it_has_our_answer_in_which_nothing_is_repeated(request_bytes: bytes, status: int, code: str) -> None:
    async with edge() as node:
        found, body, whole = await node.answer(request_bytes)
        assert (found, body["error"]) == (status, code)
        assert not body["message"].isascii()
        assert TOKEN[:20].encode() not in whole
        assert b"evil" not in whole
        assert ("details" in body) is (status == 400)
        assert [(route, seen) for _, route, seen in node.seen if seen >= 400] == [("", status)] or status == 417
        assert [seen for _, _, seen in node.seen] == [status]


async def test_the_longest_header_that_is_allowed_is_read() -> None:
    longest = b"X: " + b"y" * (MAX_FIELD_BYTES - 1)
    async with edge() as node, node.client(b"GET /live HTTP/1.1\r\nHost: x\r\n" + longest + b"\r\n\r\n") as (reader, _):
        assert b" 200 " in await reader.readuntil(b"}")
