"""The proof that a worker forwards, with the real one: working, standing still, and out of sockets."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest

from app.ops import forwarding_probe as probe_module
from app.ops.forwarding_probe import ForwardingProbe
from app.ops.probe import PROVEN_WITHIN_S, ProbeFailed, probe_forwarding
from tests.app.ops.shortage import without_sockets
from tests.conftest import eventually, free_ports
from worker_bridge.native import NativeWorker
from worker_bridge.pool import Pool, PoolSettings
from worker_bridge.worker import Worker


@pytest.fixture
async def worker(native_worker: NativeWorker) -> AsyncIterator[Worker]:
    async with Worker.running(native_worker) as running:
        yield running


async def test_a_packet_comes_through_and_nothing_of_the_proof_is_left(worker):
    assert 0 < await probe_forwarding(worker) < PROVEN_WITHIN_S
    assert not worker.count_objects()
    await eventually(lambda: worker.channel.pending)
    dump = await worker.dump()
    assert dump["router_ids"] == []
    assert dump["channel_message_handlers"]["channel_request_handlers"] == []


async def test_a_worker_that_stands_still_forwards_nothing(worker):
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ProbeFailed, match="no packet came out within 2 s"):
            await probe_forwarding(worker)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert await probe_forwarding(worker) > 0
    await eventually(lambda: worker.channel.pending)
    assert not worker.count_objects()


async def test_a_worker_that_answers_and_has_no_socket_left_is_found_out(worker):
    with without_sockets(worker.pid):
        with pytest.raises(ProbeFailed, match="too many open files"):
            await probe_forwarding(worker)
        assert await worker.dump()
    assert await probe_forwarding(worker) > 0
    assert not worker.count_objects()


async def test_a_worker_is_proven_when_it_comes_up_and_again_after_a_failure(native_worker, monkeypatch):
    monkeypatch.setattr(probe_module, "PROBE_EVERY_S", 0.05)
    monkeypatch.setattr(probe_module, "AGAIN_AFTER_S", 0.05)
    async with Pool.running(native_worker, PoolSettings(1, first_port=free_ports(1))) as pool:
        forwarding = ForwardingProbe(pool)
        [slot] = pool.slots
        assert forwarding.outcome(slot) is None
        assert not forwarding.failed(slot)
        running = probe_module.asyncio.create_task(forwarding.run())
        await eventually(lambda: forwarding.outcome(slot) is None)
        assert forwarding.outcome(slot).result().ok
        with without_sockets(slot.worker.pid):
            await eventually(lambda: not forwarding.failed(slot))
            assert "too many open files" in forwarding.outcome(slot).problem
        await eventually(lambda: forwarding.failed(slot))

        first = slot.worker
        os.kill(first.pid, signal.SIGKILL)
        await eventually(lambda: slot.worker in (None, first))
        await eventually(lambda: forwarding.outcome(slot) is None)
        assert forwarding.outcome(slot).ok
        running.cancel()
        await probe_module.asyncio.gather(running, return_exceptions=True)
