"""A node as a process of its own, on a data folder that outlives it: started, watched from outside, ended by a signal.

Knows processes, ports and the log. What a node has to have kept is the business of ``books.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp

from app.access.tokens import issue_token
from app.settings import Settings
from app.settings_text import ALIASES, PREFIX, variable
from tests.conftest import eventually
from voiceplane.client.api import Api

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 90.0  # on a machine that does other things as well
WORKER_GONE_WITHIN_S = 2.0
NOTHING_MORE: Mapping[str, str] = {}


class Node:
    """One run of the server. ``killed_at_ms`` is UTC, read once the process was certainly gone."""

    def __init__(self, process: Process, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.base = f"http://{settings.host}:{settings.port}"
        self.killed_at_ms = 0
        self._process = process
        self._log = log

    def token(self, user_id: str, role: str) -> str:
        return issue_token(self.settings, user_id, role, 3600.0)

    def api(self, http: aiohttp.ClientSession, user_id: str, role: str) -> Api:
        return Api(http, self.base, self.token(user_id, role))

    def log(self, level: str | None = None) -> list[str]:
        """The messages of this run so far, of one level or of all."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line["message"] for line in lines if level in (None, line["level"])]

    def workers(self) -> set[int]:
        """The ids of its child processes."""
        found: set[int] = set()
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended while we looked
                found.update(map(int, (task / "children").read_text().split()))
        return found

    async def health(self, http: aiohttp.ClientSession) -> dict[str, Any]:
        """The body of ``/health/ready``."""
        async with http.get(f"{self.base}/health/ready") as response:
            body: dict[str, Any] = await response.json()
            return body

    async def kill(self) -> float:
        """End it without a warning. Returns after how many seconds its workers were gone too."""
        workers = self.workers()
        self._process.kill()
        await self._process.wait()
        self.killed_at_ms = time.time_ns() // 1_000_000
        began = time.monotonic()
        await eventually(lambda: still_there(workers), within_s=WORKER_GONE_WITHIN_S)
        return time.monotonic() - began

    def send_signal(self, signum: signal.Signals, *, to_group: bool = False) -> None:
        """To the process alone, as a supervisor does, or to its whole group, as a terminal does."""
        if to_group:
            os.killpg(self._process.pid, signum)
        else:
            self._process.send_signal(signum)

    async def exit_code(self, within_s: float) -> int:
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    async def why_not_ready(self, http: aiohttp.ClientSession) -> str | None:
        if self._process.returncode is not None:
            raise AssertionError(f"the node ended with {self._process.returncode}: {self.log()[-3:]}")
        try:
            status = (await self.health(http))["status"]
        except aiohttp.ClientError as error:
            return str(error)
        return None if status == "ready" else f"it is {status}"


@asynccontextmanager
async def started(
    settings: Settings, *, ready: bool = True, environment: Mapping[str, str] = NOTHING_MORE
) -> AsyncIterator[Node]:
    """A run on the folder of ``settings``, up when this is entered unless ``ready`` is false; killed if it still lives
    at the end. ``environment`` is what else the process is told."""
    number = len(list(settings.data_dir.glob("run-*.log")))
    log = settings.data_dir / f"run-{number}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voiceplane", "serve"),
            cwd=settings.data_dir,
            env=environment_of(settings) | environment,
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    node = Node(process, settings, log)
    try:
        if ready:
            async with aiohttp.ClientSession() as http:
                await eventually(lambda: node.why_not_ready(http), within_s=START_WITHIN_S)
        yield node
    finally:
        if process.returncode is None:
            await node.kill()


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as a process is told them, and nothing that another node here is told."""
    ours = {one for one in os.environ if one.startswith(PREFIX)} | set(ALIASES.values())
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    values = {variable(one.name): getattr(settings, one.name) for one in fields(Settings)}
    told = {name: spelled(value) for name, value in values.items() if value is not None}
    return inherited | told | {"PYTHONPATH": str(ROOT)}


def spelled(value: object) -> str:
    """As a setting is written in the environment."""
    match value:
        case bool():
            return "on" if value else "off"
        case tuple() | frozenset():
            return ",".join(map(str, value))
        case _:
            return str(value)


def still_there(pids: set[int]) -> set[int]:
    """Those that still run. A dead one that nobody has asked for yet does not."""
    return {pid for pid in pids if state_of(pid) not in (None, "Z")}


def state_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
