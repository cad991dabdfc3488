"""What several nodes on one PostgreSQL cost one another, one line of JSON for each case.

``writers``: so many processes, each with a ledger of its own, change calls: 100 times a second each, from which the
latencies are, and then as fast as it goes with 64 under way. PostgreSQL waits for its disk, and in every second case
for 3 ms more (``commit_delay``), as on a disk of a data centre. ``connected``: the first RTP packet of a call on one
node, by its worker's stamp, to the arrival of ``call_connected`` at a WebSocket of another, asked for at a third.

Takes three minutes, and a PostgreSQL of its own. ``python -m bench.cluster [--seconds 4] [--calls 100]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from app.ledger import Ledger, upgrade
from app.ledger.steps import FIRST_EPOCH, Interruption, Moving, Opening
from app.ledger.values import NewCall, NewEvent
from app.person import Person
from bench import connect_latency
from bench.flips import settings_of
from bench.servers import SECRET
from schemas.call import CallState
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.conftest import free_ports
from tests.crash.killed_node import Node, started

WRITERS = (1, 3, 10)
DELAYS_MS = (0, 3)
CALLS = 64  # of each writer, so many changes under way
PER_SECOND = 100  # changes of a writer
PATIENCE_S = 120.0  # for so many processes to start on a busy machine
COMMITS = 50


class Writer:
    """Calls that are interrupted and resumed, each with an event for both parties. Runs in a process of its own."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger = ledger
        self._number = number
        self._free: deque[tuple[str, CallState]] = deque()

    async def open_calls(self) -> None:
        names = [f"{self._number}-{i}" for i in range(CALLS)]
        calls = (NewCall(name, f"user {name}", f"otomo {name}", 100, 0, (CallState.MATCHED,)) for name in names)
        await asyncio.gather(*(self._ledger.open_call(Opening(call, worker=0)) for call in calls))
        await asyncio.gather(*(self._change(name, CallState.TALKING) for name in names))

    async def paced(self, seconds: float) -> list[float]:
        """Milliseconds of each change, from when it was due."""
        began = time.perf_counter()
        changes = []
        for turn in range(round(seconds * PER_SECOND)):
            due = began + turn / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if self._free:
                changes.append(asyncio.create_task(self._change(*self._free.popleft(), due)))
        return await asyncio.gather(*changes)

    async def flat_out(self, seconds: float) -> list[float]:
        until = time.perf_counter() + seconds
        took: list[float] = []

        async def change_on() -> None:
            while time.perf_counter() < until:
                name, to = self._free.popleft()
                took.append(await self._change(name, to))

        await asyncio.gather(*(change_on() for _ in range(len(self._free))))
        return took

    async def _change(self, name: str, to: CallState, since: float | None = None) -> float:
        since = since or time.perf_counter()
        people = (Person("user", f"user {name}"), Person("otomo", f"otomo {name}"))
        told = tuple(NewEvent("changed", b'{"callId":"of about the usual length"}', person, name) for person in people)
        gone = Interruption("no_rtp", "user", 0) if to is CallState.INTERRUPTED else None
        await self._ledger.move(
            Moving(call_id=name, epoch=FIRST_EPOCH, to=to, cause="bench", at_ms=0, told=told, interruption=gone)
        )
        self._free.append((name, CallState.INTERRUPTED if gone is None else CallState.TALKING))
        return (time.perf_counter() - since) * 1000


async def write(url: str, number: int, seconds: float) -> None:
    """Print a line when ready and one with the times of each way; each way begins with a line on stdin."""
    async with Ledger.open(url, timeout_s=PATIENCE_S) as ledger:
        writer = Writer(ledger, number)
        await writer.open_calls()
        print(flush=True)
        for way in (writer.paced, writer.flat_out):
            await asyncio.to_thread(sys.stdin.readline)
            print(json.dumps([round(ms, 2) for ms in await way(seconds)]), flush=True)


@asynccontextmanager
async def writing(url: str, number: int, seconds: float) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "bench.cluster", "--write", url, str(number), "--seconds", str(seconds))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=1 << 24)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        return (await process.stdout.readline()).decode()


async def writers(cluster: Cluster, count: int, delay_ms: int, seconds: float) -> dict[str, object]:
    url = cluster.new_database()
    await upgrade(url)
    commit_ms = await slow_down(url, delay_ms)
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(writing(url, number, seconds)) for number in range(count)]
        for process in processes:
            await next_line(process)
        took = []
        for _ in ("paced", "flat out"):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            took.append([ms for process in processes for ms in json.loads(await next_line(process))])
    paced, flat_out = took
    return {
        "writers": count,
        "commitDelayMs": delay_ms,
        "commitMs": commit_ms,
        "changesPerSecond": round(len(flat_out) / seconds),
        "flatOutMs": percentiles(flat_out),
        "pacedPerSecond": round(len(paced) / seconds),
        "pacedMs": percentiles(paced),
    }


async def slow_down(url: str, delay_ms: int) -> float:
    """Have every commit wait for the disk and so long. Returns the milliseconds of the smallest one."""
    connection = await asyncpg.connect(url)
    for name, value in {"fsync": "on", "commit_delay": delay_ms * 1000, "commit_siblings": 0}.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.execute("CREATE TABLE smallest (n int)")
    times = []
    for n in range(COMMITS):
        began = time.perf_counter()
        await connection.execute("INSERT INTO smallest VALUES ($1)", n)
        times.append((time.perf_counter() - began) * 1000)
    await connection.close()
    return round(statistics.median(times), 2)


async def connected(cluster: Cluster, folder: Path, calls: int) -> dict[str, object]:
    url = cluster.new_database()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(member(folder / name, url)) for name in ("one", "two", "three")]
        latencies = await connect_latency.measure(*(node.base for node in nodes), calls=calls, at_once=1)
    return {"nodes": len(nodes), "calls": calls, "ms": percentiles(latencies)}


@asynccontextmanager
async def member(folder: Path, url: str) -> AsyncIterator[Node]:
    folder.mkdir()
    settings = replace(
        settings_of(folder, url),
        jwt_secret=SECRET,
        rate_limit=0,
        drain_timeout_s=0,
        cluster=True,
        node_name=folder.name,
        cluster_listen=f"127.0.0.1:{free_ports(1)}",
        cluster_secret="known to the nodes of this bench alone",
    )
    async with started(settings) as node:
        yield node


def percentiles(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50": round(statistics.median(ordered), 2), "p99": round(ordered[-(-len(ordered) * 99 // 100) - 1], 2)}


async def measure(seconds: float, calls: int) -> AsyncIterator[dict[str, object]]:
    """The cases, one after another."""
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        for delay_ms in DELAYS_MS:
            for count in WRITERS:
                yield {"case": "writers"} | await writers(cluster, count, delay_ms, seconds)
        for delay_ms in DELAYS_MS:
            await slow_down(cluster.new_database(), delay_ms)
            (place := Path(folder) / f"{delay_ms}").mkdir()
            yield {"case": "connected", "commitDelayMs": delay_ms} | await connected(cluster, place, calls)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--write", nargs=2, metavar=("URL", "NUMBER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        url, number = args.write
        await write(url, int(number), args.seconds)
        return
    async for found in measure(args.seconds, args.calls):
        print(json.dumps(found | {"loadAverage": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
