"""ffmpeg as a child that is never left behind. Other examples use it; Debian's package is called ffmpeg."""

from __future__ import annotations

import asyncio
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_S = 5.0  # for writing the end of a file
LIVE = ("-fflags", "nobuffer", "-analyzeduration", "0", "-probesize", "32")  # start with the first packet


@asynccontextmanager
async def ffmpeg(*arguments: str) -> AsyncIterator[Process]:
    """ffmpeg at work. When the block ends it is asked to finish what it writes, as Ctrl-C would."""
    binary = shutil.which("ffmpeg")
    if binary is None:
        raise SystemExit("ffmpeg is not installed: on Debian, apt-get install ffmpeg")
    command = [binary, "-hide_banner", "-loglevel", "error", "-y", *arguments]
    # In a group of its own, so that Ctrl-C comes to us, and we end things in order.
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, process_group=0)
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
