"""Health as a load balancer sees it: it turns within two seconds of what really happens, and back."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from app.keys import SAMPLER
from app.ops import descriptors as descriptors_module
from app.ops import forwarding_probe as probe_module
from app.ops.descriptors import FEW_LEFT, descriptors
from schemas.base import load
from schemas.health import Alive, Ready
from tests.app.ledger.postgres_cluster import running_cluster
from tests.app.ops.readiness import Balancer, problems
from tests.app.ops.shortage import without_sockets
from tests.conftest import eventually, serving

PARTS = ["database", "database_writer", "ports", "connections", "draining", "stress"]


@pytest.fixture
def balancer(server, http) -> Balancer:
    return Balancer(http, server.base)


async def test_a_ready_node_names_and_times_every_part(server, http, balancer):
    status, body = await balancer.poll()
    load(Ready, body)
    assert (status, body["status"]) == (200, "ready")
    assert [check["name"] for check in body["checks"]] == [*PARTS, "worker 0"]
    assert all(check["ok"] and check["ms"] >= 0 for check in body["checks"])
    assert body["checks"][-1]["restarts"] == 0
    assert body["checks"][-1]["probe"]["ok"]
    assert 0 <= body["stress"] < 100
    async with http.get(server.url("/health/live")) as response:
        alive = await response.json()
    load(Alive, alive)
    assert (response.status, alive["status"]) == (200, "live")


async def test_it_turns_when_the_last_worker_is_killed_and_back_when_there_is_another(server, balancer):
    [slot] = server.pool.slots
    first = slot.worker
    os.kill(first.pid, signal.SIGKILL)
    await eventually(
        lambda: slot.worker in (None, first)
    )  # within milliseconds, but the next death's heir takes longer
    os.kill(slot.worker.pid, signal.SIGKILL)
    body = await balancer.turns(503, "the last worker was killed")
    assert body["status"] == "unavailable"
    assert list(problems(body)) == ["worker 0"]
    body = await balancer.turns(200, "that, with the next worker up")
    assert body["checks"][-1]["restarts"] == 2


async def test_one_worker_of_two_is_enough(settings_with, http):
    async with serving(settings_with(workers=2)) as server:
        balancer = Balancer(http, server.base)
        stopped = server.pool.slots[1].worker.pid
        os.kill(stopped, signal.SIGSTOP)
        try:
            status, body = await balancer.poll()
            assert (status, problems(body)) == (200, {"worker 1": "no answer within 1 s"})
            os.kill(server.pool.slots[0].worker.pid, signal.SIGSTOP)
            body = await balancer.turns(503, "both workers stood still")
            assert set(problems(body)) == {"worker 0", "worker 1"}
        finally:
            for slot in server.pool.slots:
                if slot.worker is not None:
                    os.kill(slot.worker.pid, signal.SIGCONT)
        await balancer.turns(200, "both workers went on")


async def test_a_worker_that_answers_but_does_not_forward_does_not_count(settings_with, http, monkeypatch):
    monkeypatch.setattr(probe_module, "PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(probe_module, "AGAIN_AFTER_S", 0.1)
    monkeypatch.setattr(descriptors_module, "FEW_LEFT", -1_000_000)  # else it would be known before
    async with serving(settings_with()) as server:
        balancer = Balancer(http, server.base)
        with without_sockets(server.pool.slots[0].worker.pid):
            body = await balancer.turns(503, "a worker could open no socket")
            assert "it does not forward: " in problems(body)["worker 0"]
            assert not body["checks"][-1]["probe"]["ok"]
        await balancer.turns(200, "it could again")


async def test_a_worker_that_is_out_of_descriptors_is_known_before_its_next_proof(server, balancer):
    with without_sockets(server.pool.slots[0].worker.pid):
        body = await balancer.turns(503, "a worker was out of descriptors")
        assert problems(body) == {"worker 0": "0 of 5 descriptors are left"}
    await balancer.turns(200, "it had some again")


async def test_a_node_that_has_hardly_a_descriptor_left_says_so(balancer):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors(os.getpid()) + FEW_LEFT // 2, limits[1]))
    try:
        body = await balancer.turns(503, "descriptors ran short")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(problems(body)) == ["ports"]
    await balancer.turns(200, "descriptors were there again")


async def test_it_turns_while_somebody_else_holds_sqlites_write_lock(server, balancer):
    with closing(sqlite3.connect(server.settings.data_dir / "voiceplane.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        body = await balancer.turns(503, "SQLite was locked")
        assert list(problems(body)) == ["database_writer"], "reading goes on"
    await balancer.turns(200, "SQLite was unlocked")


async def test_it_turns_when_sqlites_file_is_moved_away(server, balancer):
    file = server.settings.data_dir / "voiceplane.sqlite"
    elsewhere = file.rename(file.with_suffix(".moved"))
    body = await balancer.turns(503, "SQLite's file was moved")
    assert "is gone" in problems(body)["database"]
    elsewhere.rename(file)
    await balancer.turns(200, "SQLite's file was put back")


async def test_asking_writes_nothing(server, balancer):
    def written() -> dict[str, int]:
        files = server.settings.data_dir.glob("voiceplane.sqlite*")
        return {file.name: file.stat().st_mtime_ns for file in files if not file.name.endswith("-shm")}  # its locks

    await balancer.poll()
    before = written()
    for _ in range(5):
        await balancer.poll()
    assert written() == before


async def test_it_turns_when_postgresql_stands_still_is_stopped_and_is_back(settings_with, http):
    with running_cluster() as cluster:
        async with serving(settings_with(database_url=cluster.new_database())) as server:
            balancer = Balancer(http, server.base)
            await balancer.turns(200, "the start")
            with cluster.frozen():
                body = await balancer.turns(503, "PostgreSQL stood still")
                assert set(problems(body)) == {"database", "database_writer"}
                await asyncio.gather(*(balancer.poll() for _ in range(50)))  # many ask, one question is under way
            await balancer.turns(200, "PostgreSQL went on")
            cluster.stop()
            await balancer.turns(503, "PostgreSQL was stopped")
            cluster.start()
            await balancer.turns(200, "PostgreSQL was started")


async def test_the_loop_s_lag_is_told(server, http):
    await eventually(lambda: server.app[SAMPLER].lag._due is None and "it does not look yet")
    time.sleep(0.6)  # noqa: ASYNC251  # the loop stands still
    async with http.get(server.url("/health/live")) as response:
        assert (await response.json())["lagMs"] >= 300
    assert response.status == 200
