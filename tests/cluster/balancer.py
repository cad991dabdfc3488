"""HAProxy before a cluster's nodes, with the configuration that operators get."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.conftest import eventually, free_ports
from tests.crash.killed_node import ROOT

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"


@asynccontextmanager
async def balanced(ports: Sequence[int]) -> AsyncIterator[str]:
    """The base of a balancer before nodes on these three ports, which need not be there yet."""
    listen = f"127.0.0.1:{free_ports(1)}"
    nodes = {f"NODE_{number}": f"127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig=KILL", "haproxy", "-db", "-q", "-f", CONFIGURATION),
        env=os.environ | nodes | {"LISTEN": listen},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        await eventually(lambda: _refused(listen))
        yield f"http://{listen}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _refused(address: str) -> str | None:
    host, _, port = address.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:
        return str(error)
    writer.close()
    await writer.wait_closed()
    return None
