"""How long a call that is connected waits to be told so, as JSON: from the first RTP packet, by the worker's own stamp
(``connectedAt``), to the arrival of ``call_connected`` at a WebSocket client.

A whole node with its database and one worker. One party of each call sends, through ICE, DTLS and SRTP; who listens is
a process of its own, so that the senders' work is not measured. Run as ``python -m bench.connect_latency [--calls 200]
[--at-once 2]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp

from app.access.tokens import issue_token
from app.settings import Settings
from bench.servers import SECRET, voiceplane
from voiceplane.client import Api
from voiceplane.client.media import RoomMedia
from voiceplane.client.tone import Tone

OTOMO = "otomo"  # the one who listens; calls that were matched elsewhere keep nobody busy
PATIENCE_S = 20.0
SETTINGS = Settings(jwt_secret=SECRET)


def token(user_id: str, role: str) -> str:
    return issue_token(SETTINGS, user_id, role, 3600.0)


async def listen(base: str) -> None:
    """Print ``CALL_ID MILLISECONDS`` for every call that connects, until killed; first an empty line."""
    headers = {"Authorization": f"Bearer {token(OTOMO, 'otomo')}"}
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{base}/ws", headers=headers) as socket:
        print(flush=True)
        async for message in socket:
            arrived_ms = time.time_ns() / 1e6
            event = message.json()
            if event["type"] == "call_connected":
                connected_at = datetime.fromisoformat(event["payload"]["connectedAt"])
                print(event["payload"]["callId"], arrived_ms - connected_at.timestamp() * 1000, flush=True)


@asynccontextmanager
async def listening(base: str) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "bench.connect_latency", "--listen", base)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        await next_line(process)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        return (await process.stdout.readline()).decode().strip()


async def call(admin: Api, user: Api, call_id: str, heard: asyncio.Event) -> None:
    """Connect one call, and end it as soon as its connection was heard of."""
    await admin.open_call(call_id, "user", OTOMO, price_per_minute=0)
    async with RoomMedia.joined(user, call_id) as media:
        await media.send(Tone(440.0))
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
    await user.cleanup(call_id)


async def measure(owner: str, listens: str, asks: str, *, calls: int, at_once: int) -> list[float]:
    """Milliseconds, one for each call. The three are the URLs of the node that has the calls, and of those which their
    otomo's WebSocket and their user's requests go to."""
    found: dict[str, float] = {}
    names = [f"call-{number}" for number in range(calls)]
    heard = {name: asyncio.Event() for name in names}
    async with listening(listens) as listener, aiohttp.ClientSession() as http:
        admin, user = Api(http, owner, token("root", "admin")), Api(http, asks, token("user", "user"))

        async def hear() -> None:
            while len(found) < calls:
                call_id, ms = (await next_line(listener)).split()
                found[call_id] = float(ms)
                heard[call_id].set()

        async def caller() -> None:
            while names:
                name = names.pop()
                await call(admin, user, name, heard[name])

        async with asyncio.TaskGroup() as group:
            group.create_task(hear(), name="hear")
            for number in range(at_once):
                group.create_task(caller(), name=f"caller {number}")
    return list(found.values())


def report(latencies: list[float], at_once: int, cpu_seconds: float) -> dict[str, object]:
    ordered = sorted(latencies)
    return {
        "calls": len(ordered),
        "callsAtOnce": at_once,
        "p50Ms": round(statistics.median(ordered), 2),
        "p99Ms": round(ordered[max(0, -(-len(ordered) * 99 // 100) - 1)], 2),
        "maxMs": round(ordered[-1], 2),
        "serverCpuMsPerCall": round(cpu_seconds / len(ordered) * 1000, 1),
        "loadAverage": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--listen", metavar="URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.listen:
        asyncio.run(listen(args.listen))
        return
    with voiceplane() as server:
        cpu_before = server.cpu_seconds()
        latencies = asyncio.run(measure(*[server.base] * 3, calls=args.calls, at_once=args.at_once))
        print(json.dumps(report(latencies, args.at_once, server.cpu_seconds() - cpu_before)))


if __name__ == "__main__":
    main()
