"""The workers as admins see them, and the series, on a node that forwards real sound."""

from __future__ import annotations

import os
import signal

import pytest

from app.keys import SAMPLER
from app.ops import sampler as sampler_module
from schemas.base import load
from schemas.node import SampleSeries, Workers
from tests.conftest import eventually
from tests.conversation import conversation
from voiceplane.client.errors import Refused

PATIENCE_S = 20.0
PACKETS_A_SECOND = 50  # of each party: 20 ms a packet


async def only_worker(admin):
    body = await admin.request("GET", "/admin/workers")
    load(Workers, body)
    [worker] = body["workers"]
    return worker


async def test_a_worker_that_carries_a_call_says_so(server, admin, call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard()

        async def rates_are_off():
            rates = (await only_worker(admin))["packetsPerSecond"]
            expected = pytest.approx(2 * PACKETS_A_SECOND, rel=0.2)
            return (rates["in"] != expected or rates["out"] != expected) and rates

        await eventually(rates_are_off)
        worker = await only_worker(admin)
    assert (worker["index"], worker["state"], worker["restarts"], worker["failure"]) == (0, "up", 0, None)
    assert worker["pid"] == server.pool.slots[0].worker.pid
    assert [worker[kind] for kind in ("routers", "transports", "producers", "consumers")] == [1, 4, 2, 2]
    assert 0 < worker["cpuPercent"] < 100
    assert worker["cpuSeconds"] > 0
    assert worker["memoryBytes"] > 1_000_000
    assert 0 < worker["stress"] < 1
    assert 0 < worker["requests"]["p50Ms"] <= worker["requests"]["p99Ms"]
    assert worker["probe"]["ok"]


async def test_a_worker_that_was_killed_comes_back_with_a_count_and_a_proof(server, admin):
    before = await only_worker(admin)
    os.kill(before["pid"], signal.SIGKILL)

    async def not_back():
        worker = await only_worker(admin)
        if worker["pid"] is None:
            assert (worker["state"], worker["requests"], worker["routers"]) == ("starting", None, 0)
        return worker["pid"] in (None, before["pid"]) or worker["probe"] is None

    await eventually(not_back)
    after = await only_worker(admin)
    assert (after["state"], after["restarts"], after["probe"]["ok"]) == ("up", 1, True)


async def test_the_last_hour_is_there_in_steps(server, admin, call, monkeypatch):
    monkeypatch.setattr(sampler_module, "SAMPLE_EVERY_S", 0.3)
    sampler = server.app[SAMPLER]
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard()
        await eventually(lambda: steps_are_off(sampler.series.steps), within_s=PATIENCE_S)
        body = await admin.request("GET", "/admin/series")
    load(SampleSeries, body)
    assert body["stepSeconds"] == 5
    assert 0 < len(body["samples"]) <= len(sampler.series.steps)
    step = body["samples"][-1]
    assert (step["calls"], step["talking"], step["sockets"]) == (1, 1, 0)
    assert step["nodeCpuPercent"] > 0
    assert step["workerCpuPercent"] > 0
    assert step["stress"] > 0
    assert step["lossPercent"] is None or 0 <= step["lossPercent"] < 5


def steps_are_off(steps):
    """What is not as two parties who talk make it."""
    expected = pytest.approx(2 * PACKETS_A_SECOND, rel=0.2)
    rates = [(step.packets_in, step.packets_out) for step in steps]
    return not any(one == (expected, expected) for one in rates) and f"packets were {rates}"


async def test_only_admins_look(call):
    for path in ("/admin/workers", "/admin/series"):
        with pytest.raises(Refused, match="403 FORBIDDEN"):
            await call.user.request("GET", path)
