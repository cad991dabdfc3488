"""The command line: what it prints, how it fails, and the life of the serving process, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from pathlib import Path

import aiohttp
import click
import pytest

from app.access.tokens import Authenticator, Claims
from app.settings import Settings
from voiceplane.cli import main
from voiceplane.cli.command import Duration
from voiceplane.cli.progress import steps
from voiceplane.cli.root import cli
from worker_bridge.native import NativeWorker
from worker_bridge.native.libraries import openssl_version

ROOT = Path(__file__).parents[3]
SECRET = "0123456789abcdef0123456789abcdef"

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


COMMANDS = [
    *([], ["serve"], ["token"], ["worker"], ["worker", "build"], ["worker", "path"], ["worker", "check"]),
    *(["db"], ["db", "upgrade"], ["db", "backup"], ["call"], ["doctor"], ["loadtest"]),
]


@pytest.mark.parametrize(
    "argv",
    [
        *(["nonsense"], ["token"], ["token", "--sub", "a", "--role", "root"], ["worker", "nonsense"], ["call"]),
        ["token", "--sub", "a", "--role", "user", "--ttl", "1w"],
        ["call", "--base", "127.0.0.1:8080"],
        ["call", "--base", "http://127.0.0.1:8080", "--seconds", "0"],
        ["serve", "now"],
    ],
)
def test_wrong_arguments_exit_with_2_and_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: voiceplane")
    assert "\nError: " in err


@pytest.mark.parametrize("argv", [[], ["worker"], ["db"]])
def test_a_group_alone_shows_its_help_and_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "\nCommands:\n" in capsys.readouterr().err


@pytest.mark.parametrize("argv", COMMANDS)
def test_every_command_explains_itself_and_gives_examples(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(" ".join(["Usage: voiceplane", *argv]))
    _, _, examples = shown.partition("\nExamples:\n")
    assert " ".join(["  voiceplane", *argv]) in examples


def test_these_are_all_commands() -> None:
    def below(command: click.Command, path: list[str]) -> Iterator[list[str]]:
        yield path
        for name, one in getattr(command, "commands", {}).items():
            yield from below(one, [*path, name])

    assert sorted(below(cli, [])) == sorted(COMMANDS)


def test_the_help_of_serve_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    shown = capsys.readouterr().out.split()
    assert [name for name in Settings.__dataclass_fields__ if f"VOICEPLANE_{name.upper()}" not in shown] == []
    assert "8080)" in shown


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"voiceplane {metadata.version('voiceplane')}\n"


@pytest.mark.parametrize("argv", [["--help"], ["call", "--help"], ["worker", "build", "--help"]])
def test_help_needs_neither_http_nor_the_media_libraries_nor_the_worker(argv: list[str]) -> None:
    script = "import sys; from voiceplane.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", script, *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "voiceplane.cli.call" in loaded
    assert not {"pymediasoup", "av", "numpy", "aiohttp", "sqlalchemy", "rich", "worker_bridge"} & loaded


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("7d", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration()(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0", "-1h", "1w", "1 h", "99999d", "1e9", "nan", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration()(text)


def test_a_token_for_a_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VOICEPLANE_JWT_SECRET", SECRET)
    assert main(["token", "--sub", "ann", "--role", "user", "--ttl", "90s", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["token"].count(".") == 2
    assert told | {"token": ""} == {"token": "", "sub": "ann", "role": "user", "expiresInSeconds": 90}


def test_a_worker_for_a_script(capsys: pytest.CaptureFixture[str], native_worker: NativeWorker) -> None:
    assert main(["worker", "path", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["path"], found["version"]) == (str(native_worker.binary), native_worker.version)
    assert main(["worker", "check", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked.pop("answeredAfterMs") > 0
    assert checked.pop("openssl") == openssl_version(native_worker.binary)
    assert checked == found


def test_a_worker_that_is_there_is_not_built_again(
    capsys: pytest.CaptureFixture[str], native_worker: NativeWorker
) -> None:
    assert main(["worker", "build"]) == 0
    assert capsys.readouterr() == (f"{native_worker.binary}\n", "")


def test_a_database_is_brought_up_once(tmp_path: Path) -> None:
    def run(*options: str) -> str:
        command = [sys.executable, "-m", "voiceplane", "db", "upgrade", *options]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    first = json.loads(run("--json"))
    assert first["before"] is None
    assert run() == f"the database's schema is {first['after']}; it was {first['after']}\n"


def test_a_reader_that_leaves_early_is_no_failure_to_tell() -> None:
    command = [sys.executable, "-m", "voiceplane", "serve", "--help"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


def test_the_steps_of_a_build_are_plain_lines_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as step:
        step("configuring")
        step("compiling 1/2")
    assert capsys.readouterr() == ("", "configuring\ncompiling 1/2\n")


def test_the_steps_of_a_build_are_drawn_on_a_terminal() -> None:
    shown = on_a_terminal(
        "from voiceplane.cli.progress import steps\nwith steps() as s:\n for i in ('a', 'b 1/2', 'b 2/2'): s(i)"
    )
    assert "a\r\n" in shown
    assert "\x1b[2K" in shown, "the live line is taken away at the end"


def test_news_stands_above_the_live_line_on_a_terminal() -> None:
    shown = on_a_terminal(
        "from voiceplane.cli.progress import live_log\nwith live_log('talking') as n: n('it [rings]')"
    )
    assert "it [rings]\r\n" in shown
    assert "talking" in shown


def test_no_colour_where_none_is_wanted() -> None:
    script = "from voiceplane.cli.progress import steps\nwith steps() as s: s('a'); s('b')"
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    assert coloured.search(on_a_terminal(script))
    assert not coloured.search(on_a_terminal(script, NO_COLOR="1"))


def on_a_terminal(script: str, **environment: str) -> str:
    """What a script writes that runs on a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", script]
    env = {**os.environ, "TERM": "xterm-256color", **environment}
    try:
        with subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs):
            os.close(theirs)
            return b"".join(read_all(ours)).decode()
    finally:
        os.close(ours)


def read_all(terminal: int) -> Iterator[bytes]:
    """Until the last program on the other side has closed it, which a terminal tells as an error (EIO)."""
    with suppress(OSError):
        while piece := os.read(terminal, 4096):
            yield piece


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


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_that_a_node_is_ready_alive_and_stopping(abstract: bool, tmp_path: Path) -> None:
    name = f"voiceplane-test-{os.getpid()}"
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else address)
        systemd.setblocking(False)

        async def heard() -> bytes:
            return await asyncio.wait_for(loop.sock_recv(systemd, 100), 20)

        async with serving(NOTIFY_SOCKET=address, WATCHDOG_USEC="100000") as process:
            assert await heard() == b"READY=1"
            assert await line(process)
            assert [await heard() for _ in range(3)] == [b"WATCHDOG=1"] * 3
            process.send_signal(signal.SIGTERM)
            told = b"WATCHDOG=1"
            while told == b"WATCHDOG=1":
                told = await heard()
            assert told == b"STOPPING=1"
            assert process.stdin is not None
            process.stdin.write(b"go on\n")
            assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(port) as process:
            _, said = await asyncio.wait_for(process.communicate(b"\n"), 20)
    assert process.returncode == 1
    assert said.decode().endswith(f"refused: can't listen on 127.0.0.1 port {port}: Address already in use\n")


def test_python_m_app_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voiceplane", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: voiceplane")
