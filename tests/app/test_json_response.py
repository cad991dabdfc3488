"""The short way to send JSON, held against aiohttp's own, byte by byte, over a socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.json_response import HEADER, JsonResponse

BODY = b'{"error":"\xe3\x81\x82"}'
Make = Callable[[int], web.Response]


def ours(status: int) -> web.Response:
    return JsonResponse(BODY, status)


def plain(status: int) -> web.Response:
    return web.Response(body=BODY, status=status, headers=HEADER)


async def served(make: Make, change: Callable[[web.Response], None]) -> AsyncIterator[TestServer]:
    async def handle(request: web.Request) -> web.Response:
        response = make(int(request.query["status"]))
        change(response)
        return response

    app = web.Application()
    app.router.add_route("*", "/", handle)
    async with TestServer(app) as server:
        yield server


async def answers(make: Make, requests: bytes, change: Callable[[web.Response], None]) -> bytes:
    """All that comes back, up to the end of the connection, without the date."""
    async for server in served(make, change):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(requests)
        got = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await writer.wait_closed()
        assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", got)
        return re.sub(rb"Date: [^\r]+", b"Date: then", got)
    raise AssertionError("no server")


LAST = b"GET /?status=200 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /?status=200 HTTP/1.1\r\nHost: h\r\n\r\n" + LAST,
        b"POST /?status=201 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}" + LAST,
        b"HEAD /?status=200 HTTP/1.1\r\nHost: h\r\n\r\n" + LAST,
        b"GET /?status=503 HTTP/1.1\r\nHost: h\r\n\r\n" + LAST,
        LAST,
        b"GET /?status=200 HTTP/1.0\r\n\r\n",
        b"GET /?status=200 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST,
    ],
    ids=["get", "post", "head", "refusal", "close", "http 1.0", "http 1.0 kept alive"],
)
async def test_it_is_what_aiohttp_would_have_sent(request_bytes: bytes) -> None:
    got = await answers(ours, request_bytes, lambda _: None)
    assert got == await answers(plain, request_bytes, lambda _: None)
    assert BODY in got


@pytest.mark.parametrize(
    "change",
    [lambda response: response.headers.update({"X-More": "1"}), lambda response: response.force_close()],
    ids=["another header field", "forced to close"],
)
async def test_what_is_changed_on_it_is_sent(change: Callable[[web.Response], None]) -> None:
    request = b"GET /?status=200 HTTP/1.1\r\nHost: h\r\n\r\n" + LAST
    got = await answers(ours, request, change)
    assert got == await answers(plain, request, change)
    assert b"X-More" in got or got.count(b"HTTP/1.1") == 1
