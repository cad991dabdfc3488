"""`voiceplane loadtest --kill-node-every` on a cluster behind its balancer: what becomes of the calls."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cluster.member import UNIT_S, Members
from tests.cluster.service import Service
from tests.conftest import SECRET, eventually
from tests.crash.killed_node import ROOT

ASKED = ("--calls", "8", "--ramp", "4", "--duration", "14", "--witnesses", "0", "--max-loss", "100")
LATE_UNITS = 4  # what a call's end may leave uncharged, where the machine does other things as well
KILL_EVERY_S = 6
TIMEOUT_S = 150.0
POLL_S = 0.1

pytestmark = pytest.mark.timeout(300)


async def test_calls_go_on_on_other_nodes_and_the_killed_ones_are_started_again(
    member: Members, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    started.mkdir()
    async with Service.running(member) as service, supervised(service, started) as supervised_:
        killing = ("--kill-node-every", str(KILL_EVERY_S), "--start-node-with", f"touch '{started}/{{name}}'")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voiceplane", "loadtest", "--base", service.base),
            *(*ASKED, *killing, "--max-billing-error", str(8 * LATE_UNITS), "--json", "load.json"),
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "VOICEPLANE_JWT_SECRET": SECRET, "VOICEPLANE_UNIT_SECONDS": str(UNIT_S)},
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                out, err = (text.decode() for text in await process.communicate())
            killed = re.findall(r"^killed node (\w+) \(\d+\)$", out, re.MULTILINE)
            await eventually(lambda: killed != supervised_ and f"{killed} were killed, {supervised_} started again")
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        books = await service.books()
    assert process.returncode == 0, out + err
    found = json.loads((tmp_path / "load.json").read_text())
    calls, moves, cpu = found["calls"], found["moves"], found["cpu"]
    assert calls["kills"] == calls["nodesKilled"] == len(supervised_) >= 1
    assert (calls["endReasons"], calls["failed"], calls["cut"]) == ({"manual": 8}, 0, 0)
    assert calls["wentOn"] == moves["calls"]
    if moves["count"]:  # else no call was on either of the nodes
        assert 0 < moves["gapMs"]["p50"] <= moves["gapMs"]["p95"] <= moves["gapMs"]["max"]
    assert 0 < found["billing"]["chargedUnits"] == books.unit_count() <= found["billing"]["billableUnits"][1]
    assert cpu["workerCores"] > 0
    assert cpu["controlPlaneCores"] > 0


@asynccontextmanager
async def supervised(service: Service, started: Path) -> AsyncIterator[list[str]]:
    """Start the nodes whose names appear in the folder; they are in the list by then."""
    names: list[str] = []

    async def supervise() -> None:
        while True:
            for file in list(started.iterdir()):
                names.append(file.name)
                file.unlink()
                await service.start(file.name)
            await asyncio.sleep(POLL_S)

    supervising = asyncio.create_task(supervise())
    try:
        yield names
    finally:
        supervising.cancel()
        await asyncio.wait([supervising])
    assert supervising.cancelled(), supervising.exception()
