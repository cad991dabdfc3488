"""One attempt, at receivers of every kind: what counts as arrived, and what is said of what does not."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from app.ledger.deliveries import Taken
from app.ledger.webhook_endpoints import Endpoint
from app.webhooks.sender import EXCERPT_BYTES, Answered, Sender
from app.webhooks.signing import new_secret
from app.webhooks.targets import Resolver
from tests.app.webhooks.receiver import Received, always, receiving

BODY = b'{"type":"webhook.test","timestamp":"2026-01-31T12:00:00.000Z","data":{}}'
TIMEOUT_S = 1.0
SECRET = new_secret()

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def now_ms() -> int:
    return round(time.time() * 1000)


async def send(url: str, *, allow_private: bool = True, secret: str = SECRET, **options: object) -> Answered:
    endpoint = Endpoint(id="we", url=url, secret=secret, created_at_ms=0)
    resolver = Resolver(allow_private=allow_private)
    async with Sender.open(resolver, "voiceplane/tests", timeout_s=TIMEOUT_S, **options) as sender:
        return await sender.send(Taken("msg_1", endpoint, "webhook.test", BODY, 0), now_ms())


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    """A receiver that speaks bytes, after it has read the request's."""
    open_: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            await reader.readuntil(b'data":{}}')
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            open_.discard(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        for writer in list(open_):
            writer.transport.abort()
        await asyncio.sleep(0)
        await server.wait_closed()


async def test_a_delivery_arrives_as_it_was_signed():
    async with receiving() as receiver:
        answered = await send(receiver.url("/hook?key=1"))
        assert (answered.status, answered.text, answered.ok, answered.gone) == (204, "", True, False)
        [got] = receiver.got
        assert got.verified(SECRET)["type"] == "webhook.test"
        assert (got.body, got.id) == (BODY, "msg_1")
        assert got.headers["content-type"] == "application/json; charset=utf-8"
        assert got.headers["user-agent"] == "voiceplane/tests"


@pytest.mark.parametrize("status", [200, 201, 202, 299])
async def test_every_success_counts(status: int):
    async with receiving(always(status, "fine")) as receiver:
        answered = await send(receiver.url())
        assert (answered.status, answered.text, answered.ok) == (status, "fine", True)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
async def test_every_refusal_fails_and_its_beginning_is_kept(status: int):
    async with receiving(always(status, "あ" * EXCERPT_BYTES)) as receiver:
        answered = await send(receiver.url())
        assert (answered.status, answered.ok, answered.gone) == (status, False, status == 410)
        assert answered.text.startswith("あ" * (EXCERPT_BYTES // 3))
        assert len(answered.text) <= EXCERPT_BYTES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int):
    async with receiving() as other, receiving(always(status, Location=other.url())) as receiver:
        answered = await send(receiver.url())
        assert (answered.status, answered.ok) == (status, False)
        assert other.got == []


async def test_who_hangs_is_left():
    async def hang(_: Received) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with receiving(hang) as receiver:
        answered = await send(receiver.url())
        assert (answered.status, answered.text) == (None, "no answer within 1 s")
        assert answered.took_ms >= 1000


async def test_who_drips_a_header_is_left():
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"x-drip: 1\r\n" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(drip) as url:
        answered = await send(url)
        assert (answered.status, answered.text) == (None, "no answer within 1 s")


async def test_who_answers_and_drips_the_rest_has_answered():
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(drip) as url:
        answered = await send(url)
        assert (answered.status, answered.ok) == (200, True)
        assert set(answered.text) == {"."}


async def test_an_answer_without_end_is_not_read_to_it():
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with raw_server(pour) as url:
        answered = await send(url)
        assert (answered.status, len(answered.text)) == (500, EXCERPT_BYTES)


async def test_who_resets_has_not_answered():
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with raw_server(reset) as url:
        answered = await send(url)
        assert answered.status is None
        assert answered.text


async def test_who_speaks_no_http_has_not_answered():
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()

    async with raw_server(babble) as url:
        assert (await send(url)).status is None


async def test_nobody_there_is_said_so():
    async with receiving() as receiver:
        url = receiver.url()
    answered = await send(url)
    assert answered.status is None
    assert "onnect" in answered.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_address_is_refused_at_each_delivery(host: str):
    async with receiving() as receiver:
        answered = await send(receiver.url().replace("127.0.0.1", host), allow_private=False)
        assert answered.status is None
        assert "not public" in answered.text
        assert receiver.got == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    app, got = web.Application(), []

    async def handle(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response()

    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "localhost", 0, ssl_context=tls)
        await site.start()
        url = f"https://localhost:{runner.addresses[0][1]}/hook"
        refused = await send(url)
        assert refused.status is None
        assert "ertificate" in refused.text
        assert got == []
        trusted = await send(url, tls=ssl.create_default_context(cafile=str(certificate)))
        assert (trusted.status, got) == (200, [BODY])
        otherwise = await send(
            url.replace("localhost", "127.0.0.1"), tls=ssl.create_default_context(cafile=certificate)
        )
        assert otherwise.status is None, "the certificate is for another name"
    finally:
        await runner.cleanup()
