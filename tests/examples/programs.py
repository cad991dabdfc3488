"""Runs the examples as their readers do: as programs of their own, with what they print."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
CLIENT_PROGRAMS = sorted(
    path.name for path in EXAMPLES.glob("*.py") if "from voiceplane.client" in path.read_text(encoding="utf-8")
)
OF_NEITHER = {"make_clip.py", "transcribe_live.py"}  # they stand beside a server, and import nothing of ours
BRIDGE_PROGRAMS = sorted({*PROGRAMS} - {*CLIENT_PROGRAMS} - OF_NEITHER)
PATIENCE_S = 30.0


class Running:
    """An example at work; ``said`` grows as it prints."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def says(self, start: str) -> str:
        """The next line that begins so."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.process.stdout.readline()).decode().rstrip("\n"):
                self.said.append(line)
                if line.startswith(start):
                    return line
        raise AssertionError(f"it ended without saying {start!r}, but {self.said}")

    async def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)
        await self.end()

    async def end(self) -> None:
        """Wait for an end without complaints."""
        async with asyncio.timeout(PATIENCE_S):  # here, as a fixture's own would end with the task that set it up
            out, complaints = await self.process.communicate()
        self.said += out.decode().splitlines()
        assert not complaints.decode()
        assert self.process.returncode == 0


@asynccontextmanager
async def started(name: str, *arguments: object, **environment: str) -> AsyncIterator[Running]:
    async with launched([sys.executable, EXAMPLES / name, *arguments], **environment) as program:
        yield program


@asynccontextmanager
async def launched(command: Iterable[object], **environment: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=PIPE, stderr=PIPE, process_group=0, env={**os.environ, **environment}
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(name: str, *arguments: object) -> list[str]:
    """Run an example to its end: the lines that it printed."""
    async with started(name, *arguments) as program:
        await program.end()
        return program.said
