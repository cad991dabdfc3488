"""How long ``/health/ready`` takes to turn, seen from outside a node in a process of its own, as by a load balancer.

Each trouble really happens: a killed or stopped worker, a database that is stopped, stands still, is locked or moved
away, a drain. Prints one JSON line per trouble and way; ends with an error where a turn takes 2 s.
``python -m bench.flips [--rounds 10]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import statistics
import tempfile
from contextlib import closing
from pathlib import Path

import aiohttp

from app.settings import Settings
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.app.ops.readiness import Balancer
from tests.conftest import SECRET, eventually, free_ports
from tests.crash.killed_node import Node, started

DEATHS = 2  # after which the next heir comes late enough to be missed
CRASH_LOOP_OVER_S = 11.0  # a worker that lived so long is replaced at once again


def settings_of(folder: Path, url: str) -> Settings:
    return Settings(
        port=free_ports(1),
        rtc_port=free_ports(1),
        rtc_listen_ip=("127.0.0.1",),
        workers=1,
        data_dir=folder,
        database_url=url,
        jwt_secret=SECRET,
        log_format="json",
    )


async def worker_troubles(node: Node, balancer: Balancer) -> None:
    [pid] = node.workers()
    os.kill(pid, signal.SIGSTOP)
    await balancer.turns(503, "the last worker stopped")
    os.kill(pid, signal.SIGCONT)
    await balancer.turns(200, "it went on")
    for _ in range(DEATHS):
        await kill_worker(node)
    [pid] = node.workers()
    os.kill(pid, signal.SIGKILL)
    await balancer.turns(503, "the last worker was killed")
    await balancer.turns(200, "ready was lost by that")


async def kill_worker(node: Node) -> None:
    """Returns when there is another."""
    [pid] = node.workers()
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: node.workers() in ({pid}, set()) and "there is no other")


async def sqlite_troubles(file: Path, balancer: Balancer) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await balancer.turns(503, "SQLite was locked")
    await balancer.turns(200, "SQLite was unlocked")
    moved = file.rename(file.with_suffix(".moved"))
    await balancer.turns(503, "SQLite's file was moved")
    moved.rename(file)
    await balancer.turns(200, "it was put back")


async def postgresql_troubles(cluster: Cluster, balancer: Balancer) -> None:
    with cluster.frozen():
        await balancer.turns(503, "PostgreSQL stood still")
    await balancer.turns(200, "PostgreSQL went on")
    cluster.stop()
    await balancer.turns(503, "PostgreSQL was stopped")
    cluster.start()
    await balancer.turns(200, "PostgreSQL was started")


async def drain(node: Node, http: aiohttp.ClientSession, balancer: Balancer) -> None:
    admin = node.api(http, "root", "admin")
    await admin.request("POST", "/admin/drain")
    await balancer.turns(503, "a drain")
    await admin.request("DELETE", "/admin/drain")
    await balancer.turns(200, "its end")


async def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    flips: dict[str, list[float]] = {}
    async with aiohttp.ClientSession() as http:
        async with started(settings_of(folder, "")) as node:
            balancer = Balancer(http, node.base)
            for _ in range(rounds):
                await sqlite_troubles(folder / "voiceplane.sqlite", balancer)
                await drain(node, http, balancer)
                await worker_troubles(node, balancer)
                await asyncio.sleep(CRASH_LOOP_OVER_S)
            flips |= balancer.flips
        with running_cluster() as cluster:
            async with started(settings_of(folder, cluster.new_database())) as node:
                balancer = Balancer(http, node.base)
                for _ in range(rounds):
                    await postgresql_troubles(cluster, balancer)
                flips |= balancer.flips
    return flips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    with tempfile.TemporaryDirectory(prefix="voiceplane-flips-") as folder:
        flips = asyncio.run(measure(Path(folder), parser.parse_args().rounds))
    for after, seconds in flips.items():
        ms = [round(1000 * one) for one in (min(seconds), statistics.median(seconds), max(seconds))]
        print(json.dumps({"bench": "flips", "after": after, "turns": len(seconds), "msMinMedianMax": ms}))


if __name__ == "__main__":
    main()
