"""Calls whose nodes are killed at any moment, one after another, and started again: the same calls go on, and cost what
was talked (C1).

``CLUSTER_SEED`` says which nodes, and when.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import aiohttp
import pytest

from tests.cluster.member import UNIT_S, Members
from tests.cluster.proof import LONG, Proof, percentile
from tests.cluster.service import NAMES, Service
from tests.conftest import eventually
from voiceplane.client.api import Api
from voiceplane.loadtest.engine import Engine
from voiceplane.loadtest.findings import Findings
from voiceplane.loadtest.load_call import LoadContext
from voiceplane.loadtest.moves import Kill
from voiceplane.loadtest.options import Options
from voiceplane.loadtest.run import LoadTest

SEED = int(os.environ.get("CLUSTER_SEED", "1"))
CALLS, HOLD_S, KILL_EVERY_S = (100, 600.0, 15.0) if LONG else (12, 30.0, 8.0)
PRICE = 7
RAMP = 4.0  # calls a second
RAMP_WITHIN_S = 60.0
SOUND_BACK_MS = 3000.0  # p95


async def kill_now_and_then(service: Service, context: LoadContext, chance: random.Random) -> None:
    """From when all calls talk, until cancelled. A node is killed once all are up again."""
    await eventually(lambda: len(context.talking) < CALLS and f"{len(context.talking)} talk", within_s=RAMP_WITHIN_S)
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * KILL_EVERY_S)  # any moment has to do, so none is waited for
        name = chance.choice(NAMES)
        context.kills.append(Kill(asyncio.get_running_loop().time(), time.time_ns()))
        await service.nodes[name].kill()
        await service.start(name)


async def talk_and_kill(service: Service) -> Findings:
    """All calls, held while nodes are killed."""
    options = Options(service.base, CALLS, RAMP, HOLD_S, PRICE, UNIT_S, witnesses=0)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http, Engine.running() as engine:
        admin: Api = service.api(http)
        context = LoadContext(options, admin, engine, await admin.capabilities())
        test = LoadTest(context, http, service.nodes[NAMES[0]].settings, print, lambda _: None)
        held = asyncio.create_task(test.held())
        killing = asyncio.create_task(kill_now_and_then(service, context, random.Random(SEED)))
        try:
            done, _ = await asyncio.wait((held, killing), return_when=asyncio.FIRST_COMPLETED)
            killing.cancel()
            await asyncio.wait([killing])
            assert held in done, killing.exception()
            return held.result()
        finally:
            for task in (held, killing):
                task.cancel()
            await asyncio.gather(held, killing, return_exceptions=True)


@pytest.mark.timeout(HOLD_S + 240)
async def test_calls_outlive_the_nodes_that_they_are_on(member: Members, proof: Proof) -> None:
    async with Service.running(member) as service:
        findings = await talk_and_kill(service)
        books = await service.books()
    faults = [f"{one.call_id}: {one.fault or one.end_reason}" for one in findings.outcomes if not one.completed]
    assert faults == []
    moves = [move for one in findings.outcomes for move in one.moves]
    assert moves, "no call was on a node that was killed: this proves nothing"
    assert {one.call_id: one.units_wrong(UNIT_S) for one in findings.outcomes if one.units_wrong(UNIT_S)} == {}
    for call in books.calls.values():
        units = len(books.units[call.id])
        assert units <= call.talked_ms / 1000 / UNIT_S
        assert call.epoch == 1 + sum(len(one.moves) for one in findings.outcomes if one.call_id == call.id)
    back = [move.heard_ms for move in moves if move.heard_ms is not None]
    p95_ms = percentile(back, 0.95)
    proof(
        "C1",
        f"{len(findings.kills)} nodes killed under {CALLS} calls in {HOLD_S:.0f} s",
        f"all calls went on, {len(moves)} moves, sound back p95 {p95_ms / 1000:.2f} s, "
        f"{books.unit_count()} units, 0 wrong, books clean",
    )
    assert p95_ms <= SOUND_BACK_MS
