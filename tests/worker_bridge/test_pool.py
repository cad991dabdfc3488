"""Workers that are kept: placed on, replaced, given up; and none left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import children, eventually, free_ports
from tests.worker_bridge.rtp_samples import OPUS
from voiceplane.loadtest.processes import udp_drops
from worker_bridge import pool as pool_module
from worker_bridge.errors import ListenRefused, NativeError, WorkerGone
from worker_bridge.native import NativeWorker
from worker_bridge.pool import RECEIVE_BUFFER_BYTES, ListenAddress, Pool, PoolSettings
from worker_bridge.resource import CloseReason
from worker_bridge.worker import Worker
from worker_bridge.worker_settings import WorkerSettings

Script = Callable[[str], NativeWorker]
UNSTARTABLE = 1  # exit code of the worker that no longer starts


def settings(workers: int) -> PoolSettings:
    return PoolSettings(workers, first_port=free_ports(workers))


async def ports(worker_index: int, pool: Pool) -> set[int]:
    server = pool.slots[worker_index].webrtc_server
    assert server is not None
    dump = await server.dump()
    return {socket["port"] for socket in (*dump["udp_sockets"], *dump["tcp_servers"])}


async def replaced(pool: Pool, index: int, old: Worker) -> Worker:
    """The worker after ``old``."""
    slot = pool.slots[index]
    while slot.worker is None or slot.worker is old:
        await pool.wait_changed()
    return slot.worker


def worker_of(pool: Pool, index: int) -> Worker:
    worker = pool.slots[index].worker
    assert worker is not None
    return worker


@pytest.fixture
def fleeting(script: Script, native_worker: NativeWorker, tmp_path: Path) -> NativeWorker:
    """A real worker that starts twice, for the check and for the pool, and never again."""
    return script(
        f"""for start in checked pooled; do mkdir {tmp_path}/$start 2>&- && exec {native_worker.binary} "$@"; done
        exit {UNSTARTABLE}"""
    )


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash loop in a second, not in half a minute."""
    monkeypatch.setattr(pool_module, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(pool_module, "LONGEST_DELAY_S", 0.01)


async def test_a_worker_that_is_kept_waiting_for_a_moment_loses_no_packet(native_worker: NativeWorker) -> None:
    """As many as 250 calls send in 40 ms."""
    if int(Path("/proc/sys/net/core/rmem_max").read_text()) < RECEIVE_BUFFER_BYTES:
        pytest.skip("the system grants no such buffer")
    async with Pool.running(native_worker, settings(1)) as pool:
        worker, (port,) = worker_of(pool, 0), await ports(0, pool)
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
                for _ in range(1000):
                    caller.sendto(bytes(120), ("127.0.0.1", port))
            assert udp_drops([worker.pid])[worker.pid] == 0
        finally:
            os.kill(worker.pid, signal.SIGCONT)


async def test_routers_go_where_there_is_least(native_worker: NativeWorker) -> None:
    async with Pool.running(native_worker, settings(2)) as pool:
        placed = []
        for _ in range(6):
            slot = pool.place()
            assert slot.worker is not None
            placed.append((slot.index, await slot.worker.create_router([OPUS])))
        assert sorted(index for index, _ in placed) == [0, 0, 0, 1, 1, 1]
        for index, router in placed:
            if index == 1:
                router.close()
        assert pool.place().index == 1


async def test_each_worker_has_its_port_and_a_replacement_takes_it_over(native_worker: NativeWorker) -> None:
    chosen = settings(2)
    async with Pool.running(native_worker, chosen) as pool:
        survivor = await worker_of(pool, 1).create_router([OPUS])
        victim = worker_of(pool, 0)
        lost = await victim.create_router([OPUS])
        assert await ports(0, pool) == {chosen.first_port}
        assert await ports(1, pool) == {chosen.first_port + 1}

        os.kill(victim.pid, signal.SIGKILL)
        await victim.wait_gone()
        assert lost.close_reason is CloseReason.WORKER_DIED
        fresh = await replaced(pool, 0, victim)

        assert fresh.pid != victim.pid
        assert await ports(0, pool) == {chosen.first_port}
        assert pool.slots[0].restarts == 1
        assert pool.slots[1].restarts == 0
        assert pool.slots[0].failure is None
        assert (await survivor.dump())["id"] == survivor.id
        assert pool.place().index == 0, "it is the emptier one"


async def test_a_worker_that_hangs_is_replaced(native_worker: NativeWorker) -> None:
    impatient = PoolSettings(1, first_port=free_ports(1), worker=WorkerSettings(hang_after_s=0.3, heartbeat_s=0.1))
    async with Pool.running(native_worker, impatient) as pool:
        victim = worker_of(pool, 0)
        os.kill(victim.pid, signal.SIGSTOP)
        fresh = await replaced(pool, 0, victim)
        assert await fresh.dump()
        assert "hangs" in str(victim.failure)


async def test_with_no_worker_up_there_is_no_place(fleeting: NativeWorker) -> None:
    async with Pool.running(fleeting, settings(1)) as pool:
        os.kill(worker_of(pool, 0).pid, signal.SIGKILL)
        while pool.slots[0].worker is not None:
            await pool.wait_changed()
        with pytest.raises(WorkerGone, match="no worker is up"):
            pool.place()


@pytest.mark.usefixtures("hasty")
async def test_a_crash_loop_is_given_up_loudly(fleeting: NativeWorker, caplog: pytest.LogCaptureFixture) -> None:
    async with Pool.running(fleeting, settings(1)) as pool:
        slot = pool.slots[0]
        os.kill(worker_of(pool, 0).pid, signal.SIGKILL)
        await eventually(lambda: f"{slot} is still tried" if not slot.gave_up else None)
        assert slot.starts == pool_module.GIVE_UP_AFTER
        assert slot.worker is None
        assert slot.failure is not None
        assert f"exit code {UNSTARTABLE}" in slot.failure
    assert [record.levelname for record in caplog.records if "gave up" in record.message] == ["CRITICAL"]


@pytest.mark.usefixtures("hasty")
async def test_a_worker_that_lived_long_has_not_failed_at_its_start(
    native_worker: NativeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "STABLE_AFTER_S", 0.0)
    monkeypatch.setattr(pool_module, "GIVE_UP_AFTER", 2)
    async with Pool.running(native_worker, settings(1)) as pool:
        for _ in range(3):
            worker = worker_of(pool, 0)
            os.kill(worker.pid, signal.SIGKILL)
            await replaced(pool, 0, worker)
        assert pool.slots[0].restarts == 3


# ---------------------------------------------------------------- starts that fail, and ends


@pytest.fixture
def taken() -> Iterator[int]:
    """The second of two ports, which somebody else has."""
    first = free_ports(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first + 1))
        yield first


async def test_a_worker_listens_on_every_address_for_every_protocol(native_worker: NativeWorker) -> None:
    addresses = (ListenAddress("0.0.0.0", "203.0.113.7"), ListenAddress("::", "2001:db8::7"))
    port = free_ports(1)
    async with Pool.running(native_worker, PoolSettings(1, addresses, first_port=port)) as pool:
        [slot] = pool.slots
        assert slot.worker is not None
        router = await slot.worker.create_router([OPUS])
        transport = await router.create_webrtc_transport(slot.webrtc_server, prefer_udp=True)
        offered = [(one.protocol, one.address, one.port) for one in transport.ice_candidates]
        by_priority = sorted(transport.ice_candidates, key=lambda one: -one.priority)
        assert list(transport.ice_candidates) == by_priority, "what comes first is to be tried first"
    assert offered == [
        ("udp", "203.0.113.7", port),
        ("udp", "2001:db8::7", port),
        ("tcp", "203.0.113.7", port),
        ("tcp", "2001:db8::7", port),
    ]


async def test_a_worker_of_udp_alone_leaves_the_tcp_port_to_others(native_worker: NativeWorker) -> None:
    port = free_ports(1)
    async with Pool.running(native_worker, PoolSettings(1, protocols=("udp",), first_port=port)) as pool:
        with socket.create_server(("127.0.0.1", port)):
            server = pool.slots[0].webrtc_server
            assert server is not None
            dump = await server.dump()
    assert (len(dump["udp_sockets"]), dump["tcp_servers"]) == (1, [])


async def test_an_address_that_the_machine_does_not_have_is_named_among_others(native_worker: NativeWorker) -> None:
    port = free_ports(1)
    settings = PoolSettings(1, (ListenAddress("127.0.0.1"), ListenAddress("203.0.113.9")), first_port=port)
    with pytest.raises(ListenRefused, match=f"media can't listen on 203.0.113.9 port {port}: address not available"):
        async with Pool.running(native_worker, settings):
            pytest.fail("it is not running")


@pytest.mark.parametrize("workers", [2, 3])
async def test_a_port_that_is_taken_ends_the_start(native_worker: NativeWorker, taken: int, workers: int) -> None:
    before = children()
    async with asyncio.timeout(10):
        with pytest.raises(
            ListenRefused, match=f"media can't listen on 127.0.0.1 port {taken + 1}: address already in use"
        ):
            async with Pool.running(native_worker, PoolSettings(workers, first_port=taken)):
                pytest.fail("it is not running")
    assert children() == before


async def test_a_binary_that_is_no_worker_ends_the_start(script: Script) -> None:
    with pytest.raises(NativeError):
        async with Pool.running(script("exit 1"), settings(2)):
            pytest.fail("it is not running")


async def test_one_that_fails_ends_the_start_of_one_that_never_gets_ready(
    script: Script, native_worker: NativeWorker, tmp_path: Path
) -> None:
    native = script(
        f"""mkdir {tmp_path}/checked 2>&- && exec {native_worker.binary} "$@"
        mkdir {tmp_path}/silent 2>&- && exec cat <&3
        exit {UNSTARTABLE}"""
    )
    async with asyncio.timeout(10):
        with pytest.raises(NativeError, match=f"exit code {UNSTARTABLE}"):
            async with Pool.running(native, settings(2)):
                pytest.fail("it is not running")


@pytest.mark.parametrize("turns", [5, 50, 500])
async def test_a_start_that_is_cancelled_leaves_nothing(native_worker: NativeWorker, turns: int) -> None:
    before = children()

    async def run() -> None:
        async with Pool.running(native_worker, settings(2)):
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: children() - before)  # of the check, which is in a thread of its own


async def test_it_can_be_closed_while_it_restarts(fleeting: NativeWorker) -> None:
    async with Pool.running(fleeting, settings(1)) as pool:
        slot = pool.slots[0]
        os.kill(worker_of(pool, 0).pid, signal.SIGKILL)
        await eventually(lambda: f"{slot} has not failed again" if slot.starts < 3 else None)
    assert slot.worker is None
    assert not slot.gave_up


async def test_a_callback_is_called_for_every_worker_there_is_and_every_later_one(native_worker: NativeWorker) -> None:
    async with Pool.running(native_worker, settings(2)) as pool:
        met: list[int] = []
        pool.on_worker_up(lambda slot: met.append(worker_of(pool, slot.index).pid))
        before = [worker_of(pool, index) for index in range(2)]
        assert met == [worker.pid for worker in before]
        os.kill(before[1].pid, signal.SIGKILL)
        after = await replaced(pool, 1, before[1])
        assert met[2:] == [after.pid]
