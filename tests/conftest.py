"""What every test can ask for: a running node, a worker, a way to wait; and the check that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from app.access.tokens import issue_token
from app.application import create_app
from app.calls.registry import Registry
from app.calls.service import CallService
from app.http.server import served
from app.keys import CALLS, LEDGER, POOL, REGISTRY
from app.ledger import Ledger
from app.settings import Settings
from worker_bridge import native
from worker_bridge.native import NativeWorker
from worker_bridge.pool import Pool

SECRET = "a secret of the tests, long enough for HS256"
PATIENCE_S = 10.0
POLL_S = 0.01
PORTS = range(20_000, 32_768)  # below those that the kernel gives to whoever asks for any (ip_local_port_range)


def pytest_configure() -> None:
    """Children inherit what is ignored and blocked, and a script's `make test &` has us ignore SIGINT, by which tests
    end programs. A handler, which no child inherits, ignores it as well."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


async def eventually(why_not: Callable[[], object | Awaitable[object]], within_s: float = PATIENCE_S) -> None:
    """Wait until ``why_not`` answers nothing: it says, as text or any true value, why it is not yet so."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        reason = why_not()
        if isinstance(reason, Awaitable):
            reason = await reason
        if not reason:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"still not so after {within_s:.0f} s: {reason}")
        await asyncio.sleep(POLL_S)


class PortShare:
    """The ports of one of the processes that run tests at once: what one has found free no other one takes."""

    def __init__(self) -> None:
        processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        # One that died has a successor with a higher number, which takes its share or a neighbour's.
        process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % processes
        size = len(PORTS) // processes
        self._ports = PORTS[process * size : (process + 1) * size]
        self._next = random.choice(self._ports)  # other suites of this machine begin elsewhere

    def free(self, count: int) -> int:
        while True:
            first = self._next if self._next + count <= self._ports.stop else self._ports.start
            self._next = first + count
            if all(map(is_free, range(first, first + count))):
                return first


def is_free(port: int) -> bool:
    """For UDP and TCP on loopback."""
    with ExitStack() as held:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                held.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_share = PortShare()


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that are free for UDP and TCP on loopback."""
    return _share.free(count)


@pytest.fixture(scope="session")
def native_worker() -> NativeWorker:
    """The real worker, as ``make setup`` left it."""
    return native.locate()


@dataclass
class Server:
    """A node on loopback, in this process: its REST base, and what a test may look into."""

    base: str
    settings: Settings
    app: web.Application

    @property
    def pool(self) -> Pool:
        return self.app[POOL]

    @property
    def calls(self) -> CallService:
        return self.app[CALLS]

    @property
    def registry(self) -> Registry:
        return self.app[REGISTRY]

    @property
    def ledger(self) -> Ledger:
        return self.app[LEDGER]

    def url(self, path: str) -> str:
        return self.base + path

    def token(self, user_id: str, role: str, ttl_s: float = 3600.0) -> str:
        return issue_token(self.settings, user_id, role, ttl_s)

    def headers(self, user_id: str, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user_id, role)}"}

    async def worker_dump(self, index: int = 0) -> dict[str, Any]:
        """What the worker itself says that it holds."""
        worker = self.pool.slots[index].worker
        assert worker is not None
        return await worker.dump()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    app = create_app(settings)
    async with served(app, settings) as base:
        yield Server(base, settings, app)


@pytest.fixture
def settings_with(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a node of its own: free ports, one worker, a folder that goes with the test."""

    def make(**changed: Any) -> Settings:
        workers = changed.setdefault("workers", 1)
        changed.setdefault("stress_limit", 0)  # how busy the machine is decides no test
        own = {"port": 0, "rtc_port": free_ports(workers), "rtc_listen_ip": ("127.0.0.1",)}
        return Settings(**{**own, "data_dir": tmp_path, "jwt_secret": SECRET, **changed})

    return make


@pytest.fixture
async def server(settings_with: Callable[..., Settings]) -> AsyncIterator[Server]:
    async with serving(settings_with()) as running:
        yield running


def open_channels() -> set[str]:
    """Sockets, pipes and process handles that this process holds, by their inode."""
    held = set()
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = str(Path(entry.path).readlink())
        except FileNotFoundError:  # the scan's own descriptor
            continue
        if target.startswith(("socket:", "pipe:")) or "pidfd" in target:
            held.add(f"{entry.name} {target}")
    return held


def children() -> set[int]:
    """Processes whose parent we are, dead ones that nobody asked for included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended while we looked
            found.update(int(pid) for pid in (task / "children").read_text().split())
    return found


@pytest.fixture(scope="session", autouse=True)
def libuv_is_loaded() -> None:
    """It keeps one pipe per process from its first loop on, which is nothing that a test left behind."""
    uvloop.new_event_loop().close()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No child process, socket, pipe or process handle outlives a test; a task that did would warn, which fails it."""
    processes, channels = children(), open_channels()
    yield
    if children() - processes or open_channels() - channels:
        gc.collect()  # what only a reference cycle holds is not left behind
    assert not children() - processes, "child processes are left"
    assert not open_channels() - channels, "descriptors are left"
