"""A node that is killed while it charges: nothing is half done, and nothing that was told is lost."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from app.ledger import Ledger
from tests.app.ledger.charge_for_ever import CALLS
from tests.app.ledger.ledger_samples import CONNECTED

HERE = Path(__file__).parent
KILLS = 10  # on each database


async def charge_and_be_killed(url: str, run: str, after_lines: int) -> dict[str, int]:
    """The last unit of each call that the process told of before it died."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        HERE / "charge_for_ever.py",
        url,
        run,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{HERE.parents[2]}"},
    )
    assert process.stdout is not None
    told: dict[str, int] = {}
    for _ in range(after_lines):
        call_id, index = (await process.stdout.readline()).split()
        told[call_id.decode()] = int(index)
    process.kill()
    rest = await process.stdout.read()
    for line in rest.splitlines(keepends=True):
        if line.endswith(b"\n"):
            told[line.split()[0].decode()] = int(line.split()[1])
    await process.wait()
    return told


@pytest.mark.timeout(300)  # ten processes, one after another
async def test_a_killed_node_leaves_a_ledger_that_adds_up(url: str) -> None:
    chance = random.Random(20)
    for kill in range(KILLS):
        told = await charge_and_be_killed(url, f"run-{kill}", after_lines=chance.randrange(1, 120))
        async with Ledger.open(url) as ledger:
            open_calls = [
                call for call in (await ledger.calls_of(limit=CALLS)).items if call.id.startswith(f"run-{kill}-")
            ]
            assert {call.node for call in open_calls} == {f"run-{kill}"}
            assert {call.id for call in open_calls} >= told.keys()
            recovery = await ledger.recover(now_ms=CONNECTED + 10**9)
            assert await ledger.audit() == ()
            assert {one.call_id: one.billed_units for one in recovery.ended} == {
                call.id: call.billed_units for call in open_calls
            }
            for call in open_calls:
                assert told.get(call.id, 0) <= call.billed_units <= told.get(call.id, 0) + 1
                assert call.billed_points == 100 * call.billed_units
