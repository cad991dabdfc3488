"""One worker per core, each with one WebRTC port, and a replacement for each that dies or hangs.

Knows nothing of rooms: who puts a router on a worker listens to the router's ``close`` for WORKER_DIED.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from worker_bridge.connectivity import ListenInfo, Protocol
from worker_bridge.errors import BridgeError, ListenRefused, RequestRefused, WorkerGone
from worker_bridge.native import NativeWorker, check
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.worker import Worker
from worker_bridge.worker_settings import WorkerSettings

STABLE_AFTER_S = 10.0  # a worker that lived so long did not die of its start
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 5.0  # between restarts in a crash loop, doubling
GIVE_UP_AFTER = 10  # starts in a row that did not become stable: the cause is not going to pass by itself
RECEIVE_BUFFER_BYTES = 1 << 20
"""Of each UDP socket of a worker. With 250 calls it takes 25,000 packets a second, and the usual 208 KiB are full once
the worker is kept waiting for 20 ms; these last for 100 ms, and sound that is later is of no use. The system may grant
less: ``net.core.rmem_max``."""

logger = logging.getLogger(__name__)


class ListenAddress(NamedTuple):
    """``announced_address`` is what candidates carry in the place of ``ip``."""

    ip: str
    announced_address: str | None = None


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """``first_port`` is worker 0's port, on each of ``addresses`` and for each of ``protocols``; the others count up
    from it. ``::`` takes IPv4 as well, unless an IPv4 address stands beside it."""

    workers: int
    addresses: tuple[ListenAddress, ...] = (ListenAddress("127.0.0.1"),)
    protocols: tuple[Protocol, ...] = ("udp", "tcp")
    first_port: int = 40000
    worker: WorkerSettings = field(default_factory=WorkerSettings)

    def listen_infos(self, index: int) -> list[ListenInfo]:
        """Where worker ``index`` listens. Clients try what comes first, first."""
        any_ipv4 = any(":" not in address.ip for address in self.addresses)
        return [
            ListenInfo(
                protocol,
                ip,
                announced_address,
                self.first_port + index,
                recv_buffer_size=RECEIVE_BUFFER_BYTES if protocol == "udp" else 0,
                ipv6_only=any_ipv4 and ":" in ip,
            )
            for protocol in self.protocols
            for ip, announced_address in self.addresses
        ]


@dataclass(slots=True)
class Slot:
    """One place for a worker. ``worker`` and ``webrtc_server`` are both there or both None."""

    index: int
    worker: Worker | None = None
    webrtc_server: WebRtcServer | None = None
    starts: int = 0
    failure: str | None = None
    gave_up: bool = False

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)


class Pool:
    """The workers of one node."""

    def __init__(self, native: NativeWorker, settings: PoolSettings) -> None:
        self.native = native
        self.slots = [Slot(index) for index in range(settings.workers)]
        self._settings = settings
        self._changed = asyncio.Condition()
        self._on_worker_up: list[Callable[[Slot], None]] = []

    @classmethod
    @asynccontextmanager
    async def running(cls, native: NativeWorker, settings: PoolSettings) -> AsyncIterator[Self]:
        """All workers up at entry, all gone at exit.

        Raises NativeError where the binary does not run or is of another release than the schema, ListenRefused where
        a port is taken.
        """
        await asyncio.to_thread(check, native)
        pool = cls(native, settings)
        started = [asyncio.get_running_loop().create_future() for _ in pool.slots]
        keepers = [
            asyncio.create_task(pool._keep(slot, first), name=f"worker slot {slot.index}")
            for slot, first in zip(pool.slots, started, strict=True)
        ]
        try:
            await asyncio.gather(*started)
            yield pool
        finally:
            for one in (*keepers, *started):  # a keeper that is cancelled says nothing of its start any more
                one.cancel()
            await asyncio.gather(*keepers, *started, return_exceptions=True)

    def place(self) -> Slot:
        """The slot whose worker carries least. Raises WorkerGone where no worker is up."""
        up = [slot for slot in self.slots if slot.worker is not None]
        if not up:
            raise WorkerGone("no worker is up")
        return min(up, key=_load)

    def on_worker_up(self, callback: Callable[[Slot], None]) -> None:
        """Have ``callback`` called with the slot of each worker that is up, and of each one that will come up."""
        self._on_worker_up.append(callback)
        for slot in self.slots:
            if slot.worker is not None:
                callback(slot)

    async def wait_changed(self) -> None:
        """Returns when a worker has come up or gone next."""
        async with self._changed:
            await self._changed.wait()

    async def _keep(self, slot: Slot, first: asyncio.Future[None]) -> None:
        """Keep a worker in the slot until cancelled, or until it is plain that none will stay up."""
        unstable = 0
        while unstable < GIVE_UP_AFTER:
            began = time.monotonic()
            slot.starts += 1
            try:
                await self._run_one(slot, first)
            except (BridgeError, OSError) as error:
                if not first.done():
                    first.set_exception(error)
                    return
                slot.failure = str(error)
            unstable = 0 if time.monotonic() - began > STABLE_AFTER_S else unstable + 1
            delay = min(FIRST_DELAY_S * 2 ** (unstable - 2), LONGEST_DELAY_S) if unstable > 1 else 0.0
            logger.warning("worker %d: %s; starting another in %.1f s", slot.index, slot.failure, delay)
            await asyncio.sleep(delay)
        slot.gave_up = True
        logger.critical("worker %d: gave up after %d starts in a row: %s", slot.index, unstable, slot.failure)

    async def _run_one(self, slot: Slot, first: asyncio.Future[None]) -> None:
        async with Worker.running(self.native, self._settings.worker) as worker:
            server = await self._listening(worker, slot.index)
            slot.worker, slot.webrtc_server, slot.failure = worker, server, None
            try:
                for callback in self._on_worker_up:
                    callback(slot)
                await self._notify_changed()
                if not first.done():
                    first.set_result(None)
                slot.failure = str(await worker.wait_gone())
            finally:
                slot.worker = slot.webrtc_server = None
        await self._notify_changed()

    async def _listening(self, worker: Worker, index: int) -> WebRtcServer:
        infos = self._settings.listen_infos(index)
        try:
            return await worker.create_webrtc_server(infos)
        except RequestRefused as error:
            raise ListenRefused(error, infos[0].port) from error

    async def _notify_changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _load(slot: Slot) -> int:
    return slot.worker.load if slot.worker is not None else 0
