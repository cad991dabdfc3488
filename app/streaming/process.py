"""The process that decodes and sends, as its node sees it: started, told, started again when it dies, ended with the
node. What it is told never waits: where it does not read fast enough, packets are dropped, and counted.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import msgspec
from msgspec.structs import replace

from app.clock import now
from app.streaming.orders import (
    Configuration,
    Kind,
    LegClosed,
    LegOpened,
    Report,
    packed,
)
from app.tasks import Tasks

COMMAND = (sys.executable, "-m", "app.streaming.child")
MOST_WAITING_BYTES = 1024 * 1024  # in the pipe's buffer: some seconds of a hundred legs
END_WITHIN_S = 8.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
STEADY_AFTER_S = 60.0
TELL_TROUBLE_EVERY_S = 60.0

logger = logging.getLogger(__name__)

ReportListener = Callable[[Report], None]


class DecodingProcess:
    """Made by :meth:`running`. Legs are opened and closed by numbers of the caller's."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = msgspec.json.encode(configuration)
        self._url = configuration.url
        self._legs: dict[int, LegOpened] = {}
        self._process: Process | None = None
        self._listeners: list[ReportListener] = []
        self._told_trouble_at = float("-inf")
        self._ending = False
        self.packets_dropped = 0

    @classmethod
    @asynccontextmanager
    async def running(cls, configuration: Configuration) -> AsyncIterator[Self]:
        made = cls(configuration)
        tasks = Tasks()
        keeper = tasks.start(made._keep(), "decoding process")
        try:
            yield made
        finally:
            made._ending = True
            await made._end()
            keeper.cancel()
            await tasks.close()

    def on_report(self, listener: ReportListener) -> None:
        """Call ``listener(report)`` about once a second; it must be quick and raise nothing."""
        self._listeners.append(listener)

    def open_leg(self, leg: int, opened: LegOpened, at: float) -> None:
        """``at`` is in monotonic seconds, like all such times here."""
        self._legs[leg] = opened
        self._write(packed(Kind.OPEN, leg, at, msgspec.json.encode(opened)))

    def hear(self, leg: int, at: float, packet: bytes) -> None:
        stdin = self._process.stdin if self._process is not None else None
        if stdin is None or stdin.transport.get_write_buffer_size() > MOST_WAITING_BYTES:
            self.packets_dropped += 1
        else:
            self._write(packed(Kind.PACKET, leg, at, packet))

    def close_leg(self, leg: int, reason: str) -> None:
        if self._legs.pop(leg, None) is not None:
            self._write(packed(Kind.CLOSE, leg, time.monotonic(), msgspec.json.encode(LegClosed(reason))))

    def _write(self, order: bytes) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(order)

    async def _keep(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._ending:
            began = time.monotonic()
            await self._run()
            if self._ending:
                return
            wait_s = FIRST_WAIT_S if time.monotonic() - began > STEADY_AFTER_S else min(2 * wait_s, LONGEST_WAIT_S)
            logger.error("the process that streams audio has ended, and begins again in %.0f s", wait_s)
            await asyncio.sleep(wait_s)

    async def _run(self) -> None:
        process = await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stdout=PIPE, start_new_session=True)
        self._process = process
        try:
            self._write(packed(Kind.CONFIGURE, 0, 0.0, self._configuration))
            present = now()
            for leg, opened in self._legs.items():
                again = msgspec.json.encode(replace(opened, at_ms=present.utc_ms))
                self._write(packed(Kind.OPEN, leg, present.monotonic, again))
            await self._read(process)
            await process.wait()
        finally:
            self._process = None
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _read(self, process: Process) -> None:
        if process.stdout is None:
            raise AssertionError("it has no output")
        async for line in process.stdout:
            report = msgspec.json.decode(line, type=Report)
            self._note_trouble(report)
            for listener in self._listeners:
                listener(report)

    def _note_trouble(self, report: Report) -> None:
        if report.trouble is not None and time.monotonic() - self._told_trouble_at > TELL_TROUBLE_EVERY_S:
            self._told_trouble_at = time.monotonic()
            logger.warning("audio can't be streamed to %s: %s", self._url, report.trouble)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await process.wait()
