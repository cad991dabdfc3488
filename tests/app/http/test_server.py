"""The life of a serving process, as a process of its own: signals, a port in use, and systemd."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[3]
PATIENCE_S = 45.0  # a process may take long to start on a busy machine

SERVED = """
import asyncio, sys
from aiohttp import web
from app.http.connections import Connections
from app.keys import CONNECTIONS
from app.http.server import CannotListen, run_async, serve
from app.settings import Settings

async def slow(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun ")
    await release.wait()
    await response.write(b"ended")
    return response

async def cleaned(app):
    yield
    print("cleaned", flush=True)

release = asyncio.Event()
app = web.Application()
app[CONNECTIONS] = Connections(100, 0, 30.0, [])
app.router.add_get("/slow", slow)
app.cleanup_ctx.append(cleaned)

async def on_shutdown(app):
    print("stopping", flush=True)
    asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline).add_done_callback(lambda _: release.set())

app.on_shutdown.append(on_shutdown)
try:
    code = run_async(serve(app, Settings(port=int(sys.argv[1]), drain_timeout_s=0), lambda url: print(url, flush=True)))
except CannotListen as error:
    sys.exit(f"refused: {error}")
sys.exit(code)
"""


@asynccontextmanager
async def serving(port: int = 0, **environment: str) -> AsyncIterator[Process]:
    """A process that serves a small application with the real ``serve``; killed at the end if it still lives."""
    command = (sys.executable, "-c", SERVED, str(port))
    env = {**os.environ, **environment}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode().strip()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_requests_end_and_closes_what_is_owned(signum: signal.Signals) -> None:
    async with serving() as process, aiohttp.ClientSession() as http:
        url = await line(process)
        async with http.get(f"{url}/slow") as response:
            assert await response.content.readexactly(6) == b"begun "
            process.send_signal(signum)
            assert await line(process) == "stopping"
            assert process.stdin is not None
            process.stdin.write(b"go on\n")
            assert await response.content.read() == b"ended"
        assert await line(process) == "cleaned"
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


async def test_nobody_is_let_in_after_the_signal() -> None:
    async with serving() as process, aiohttp.ClientSession() as http:
        url = await line(process)
        async with http.get(f"{url}/slow") as response:
            await response.content.readexactly(6)
            process.send_signal(signal.SIGTERM)
            assert await line(process) == "stopping"
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(f"{url}/slow", headers={"Connection": "close"})


async def test_a_second_signal_does_not_wait() -> None:
    async with serving() as process, aiohttp.ClientSession() as http:
        url = await line(process)
        async with http.get(f"{url}/slow") as response:
            await response.content.readexactly(6)
            process.send_signal(signal.SIGTERM)
            assert await line(process) == "stopping"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), PATIENCE_S) == -signal.SIGTERM


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(port) as process:
            _, said = await asyncio.wait_for(process.communicate(b"\n"), PATIENCE_S)
    assert process.returncode == 1
    assert said.decode().endswith(f"refused: can't listen on 127.0.0.1 port {port}: Address already in use\n")
