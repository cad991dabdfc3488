"""``make demo-cluster``: three nodes, HAProxy and PostgreSQL on loopback, with calls on them; one node is killed, and
what came of it is said. ``CALLS`` says how many calls.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from app.settings import Settings
from tests.app.ledger.postgres_cluster import running_cluster
from tests.cluster.load import held, moves_of, wrongs
from tests.cluster.member import Members
from tests.cluster.proof import percentile
from tests.cluster.service import Service
from tests.conftest import SECRET
from voiceplane.loadtest.findings import Findings
from voiceplane.loadtest.moves import Kill

CALLS = int(os.environ.get("CALLS", "50"))
HOLD_S = 25.0
KILLED = "two"
BEFORE_S = 5.0  # that all talk on three nodes


async def demo(url: str, folder: Path) -> int:
    """Returns the exit code: 0 where every call went on and was charged for what was talked."""

    def settings_with(**changed: Any) -> Settings:
        return Settings(**{"jwt_secret": SECRET, "stress_limit": 0, "rtc_listen_ip": ("127.0.0.1",)} | changed)

    async with Service.running(Members(url, settings_with, folder)) as service, aiohttp.ClientSession() as http:
        print(f"three nodes are up, behind HAProxy at {service.base}; {CALLS} calls begin")

        async def kill_one(kills: list[Kill]) -> None:
            print(f"all talk: {await carried(service, http)}")
            await asyncio.sleep(BEFORE_S)
            kills.append(Kill(asyncio.get_running_loop().time(), time.time_ns(), "node"))
            await service.nodes[KILLED].kill()
            print(f"node {KILLED} is killed")
            await asyncio.sleep(HOLD_S)

        findings = await held(service, CALLS, HOLD_S, kill_one)
        books = await service.books()
    print(came_of(findings, books.unit_count()))
    return 1 if list(wrongs(findings)) else 0


async def carried(service: Service, http: aiohttp.ClientSession) -> str:
    """How many calls each node has."""
    nodes = (await service.api(http).request("GET", "/admin/nodes"))["nodes"]
    return ", ".join(f"{one['name']} has {one['liveCalls']} calls" for one in nodes)


def came_of(findings: Findings, units: int) -> str:
    moves, wrong = moves_of(findings), list(wrongs(findings))
    told = [move.told_ms for move in moves if move.told_ms is not None]
    heard = [move.heard_ms for move in moves if move.heard_ms is not None]
    ended = sum(one.completed for one in findings.outcomes)
    return "\n".join(
        (
            f"{ended} of {len(findings.outcomes)} calls went on until they were ended as asked",
            f"{len(moves)} of them were on the node that died, and have another room",
            f"  told of it after {shown(told)}",
            f"  sound back after {shown(heard)}",
            f"{units} units charged; the ledger's audit found nothing wrong",
            *(wrong or ["0 units wrong"]),
        )
    )


def shown(times_ms: list[float]) -> str:
    return f"{percentile(times_ms, 0.5) / 1000:.2f} s (p50), {percentile(times_ms, 0.95) / 1000:.2f} s (p95)"


def main() -> int:
    with running_cluster() as cluster, tempfile.TemporaryDirectory(prefix="voiceplane-demo-") as folder:
        return asyncio.run(demo(cluster.new_database(), Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
