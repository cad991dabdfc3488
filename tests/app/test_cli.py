"""The command line: what it prints, how it fails, and the life of the serving process, as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from argparse import ArgumentTypeError
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from app.auth import Authenticator, Claims
from app.cli import duration, main
from app.settings import Settings

ROOT = Path(__file__).parents[2]
SECRET = "0123456789abcdef0123456789abcdef"

SERVED = """
import asyncio, sys
from aiohttp import web
from app.cli import CommandError, run_async, serve
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
app.router.add_get("/slow", slow)
app.cleanup_ctx.append(cleaned)

async def on_shutdown(app):
    print("stopping", flush=True)
    asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline).add_done_callback(lambda _: release.set())

app.on_shutdown.append(on_shutdown)
try:
    code = run_async(serve(app, Settings(port=int(sys.argv[1])), lambda url: print(url, flush=True)))
except CommandError as error:
    sys.exit(f"refused: {error}")
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings but the test's own, an empty current folder, and the log as it was."""
    for name in [name for name in os.environ if name.startswith("VOICEPLANE_") or name == "JWT_SECRET"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


async def test_a_printed_token_is_accepted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VOICEPLANE_JWT_SECRET", SECRET)
    assert main(["token", "--sub", "ann", "--role", "otomo", "--ttl", "2h"]) == 0
    token = capsys.readouterr().out.strip()
    async with Authenticator.open(Settings(jwt_secret=SECRET)) as authenticator:
        claims = await authenticator.authenticate(token)
    assert claims == Claims("ann", "otomo", claims.expires_at)


def test_the_token_alone_is_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["token", "--sub", "ann", "--role", "user"]) == 0
    out, err = capsys.readouterr()
    assert out.count(".") == 2
    assert out.count("\n") == 1
    assert "made one in" in err
    assert (tmp_path / "data" / "jwt-secret").is_file()


@pytest.mark.parametrize(
    ("variables", "argv", "sentence"),
    [
        ({"PORT": "x"}, ["serve"], "voiceplane: VOICEPLANE_PORT must be a whole number, not 'x'.\n"),
        ({"JWT_SECRET": "short"}, ["serve"], "voiceplane: VOICEPLANE_JWT_SECRET must be 32 bytes or more.\n"),
        ({"JWT_JWKS": "keys.json"}, ["token", "--sub", "a", "--role", "user"], "tokens are signed elsewhere"),
        ({}, ["token", "--sub", "a b", "--role", "user"], "voiceplane: A user id is 1 to 128 printable characters"),
        ({"WORKER_BIN": "/nonexistent/worker"}, ["worker", "path"], "/nonexistent/worker"),
        ({"WORKER_BIN": "/nonexistent/worker"}, ["worker", "check"], "/nonexistent/worker"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(
    variables: dict[str, str],
    argv: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in ({"JWT_SECRET": SECRET} | variables).items():
        monkeypatch.setenv(f"VOICEPLANE_{name}", value)
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert err.endswith(".\n")


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["token"], ["token", "--sub", "a", "--role", "root"], ["worker"], ["call"]]
)
def test_wrong_arguments_exit_with_2_and_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: voiceplane" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [[], ["serve"], ["token"], ["worker"], ["worker", "build"], ["worker", "path"], ["worker", "check"], ["call"]],
)
def test_every_command_explains_itself(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--help"])
    assert ended.value.code == 0
    assert " ".join(["usage: voiceplane", *argv]) in capsys.readouterr().out


def test_the_help_of_serve_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    assert [name for name in Settings.__dataclass_fields__ if f"VOICEPLANE_{name.upper()} " not in shown] == []
    assert "(default: 8080)" in shown


def test_help_needs_neither_the_media_libraries_nor_the_worker() -> None:
    script = "import sys; from app.cli import parser; parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pymediasoup", "aiortc", "av", "worker_bridge.pool", "app.application"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("7d", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0", "-1h", "1w", "1 h", "99999d", "1e9", "nan", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        duration(text)


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[Process]:
    """A process that serves a small application with the real ``serve``; killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVED, str(port), cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()


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
        assert await asyncio.wait_for(process.wait(), 10) == 0


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
            assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGTERM


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(port) as process:
            _, said = await asyncio.wait_for(process.communicate(b"\n"), 20)
    assert process.returncode == 1
    assert said.decode().endswith(f"refused: can't listen on 127.0.0.1 port {port}: Address already in use\n")


def test_python_m_app_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "app", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: voiceplane")
