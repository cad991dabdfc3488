"""systemd is told that a node is ready, alive and stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.app.http.test_server import line, serving


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_that_a_node_is_ready_alive_and_stopping(abstract: bool, tmp_path: Path) -> None:
    name = f"voiceplane-test-{os.getpid()}"
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else address)
        systemd.setblocking(False)

        async def heard() -> bytes:
            return await asyncio.wait_for(loop.sock_recv(systemd, 100), 45)

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
            assert await asyncio.wait_for(process.wait(), 45) == 0
