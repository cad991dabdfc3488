"""Whether the node can take calls: every part that a call needs is checked, all at the same time.

The database is checked twice: that a query is answered, and that a writer gets its turn, without which no call can be
stored. Where several nodes share it, what it says is reported and counts for nothing, or its outage would take out all
of them at once. One good worker is enough. Stress is no failure: a full node refuses calls one by one. About a shortage
of descriptors, health and admission say the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from functools import partial

from app.http.connections import Connections
from app.ledger import Ledger
from app.ops.admission import Admission
from app.ops.check import Check, CheckFailed, CheckResult
from app.ops.descriptors import shortage_of
from app.ops.forwarding_probe import ForwardingProbe
from app.tasks import Tasks
from worker_bridge.errors import WorkerGone
from worker_bridge.pool import Pool, Slot


@dataclass(frozen=True, slots=True)
class Report:
    """Each part in ``needed`` has to be well, and one of ``workers``, which are by slot; ``shared`` is what other nodes
    have as well."""

    shared: tuple[CheckResult, ...]
    needed: tuple[CheckResult, ...]
    workers: tuple[CheckResult, ...]
    draining: CheckResult
    stress: CheckResult

    @property
    def well(self) -> bool:
        return all(part.ok for part in self.needed) and any(worker.ok for worker in self.workers)


class Health:
    """``tasks`` owns the checks that are under way. ``cluster`` is whether other nodes have the database as well."""

    def __init__(
        self,
        ledger: Ledger,
        connections: Connections,
        pool: Pool,
        forwarding: ForwardingProbe,
        admission: Admission,
        tasks: Tasks,
        *,
        cluster: bool = False,
    ) -> None:
        self._pool = pool
        self._forwarding = forwarding
        self._admission = admission
        database = (Check("database", ledger.check, tasks), Check("database_writer", ledger.ping, tasks))
        self._shared = database if cluster else ()
        self._needed = (
            *(() if cluster else database),
            Check("ports", partial(require_descriptors, os.getpid()), tasks),
            Check("connections", partial(require_places, connections), tasks),
        )
        self._workers = tuple(Check(f"worker {slot.index}", partial(self._ask, slot), tasks) for slot in pool.slots)

    async def report(self) -> Report:
        """All results, within little more than a second, whatever hangs."""
        asked = zip(self._pool.slots, self._workers, strict=True)
        shared, needed, workers = await asyncio.gather(
            together(check.answer() for check in self._shared),
            together(check.answer() for check in self._needed),
            together(self._check(slot, check) for slot, check in asked),
        )
        began = time.monotonic()
        draining, full = self._admission.draining, self._admission.full
        ms = round(1000 * (time.monotonic() - began), 1)
        return Report(shared, needed, workers, CheckResult("draining", ms, draining), CheckResult("stress", ms, full))

    async def _check(self, slot: Slot, check: Check) -> CheckResult:
        """Check a worker. One that is known to be gone is not asked, nor does its last result count."""
        if slot.worker is None:
            return CheckResult(check.name, 0.0, slot.failure or "it is starting")
        return await check.answer()

    async def _ask(self, slot: Slot) -> None:
        """Raises CheckFailed where it does not answer, has no descriptors left, or failed its last probe."""
        if slot.worker is None:
            raise WorkerGone(slot.failure or "it is starting")
        await slot.worker.get_resource_usage()
        await require_descriptors(slot.worker.pid)
        outcome = self._forwarding.outcome(slot)
        if outcome is not None and not outcome.ok:
            raise CheckFailed(f"it does not forward: {outcome.problem}")


async def together(asked: Iterable[Awaitable[CheckResult]]) -> tuple[CheckResult, ...]:
    return tuple(await asyncio.gather(*asked))


async def require_places(connections: Connections) -> None:
    """Raises CheckFailed where there is no place, or hardly one, for the next client's connection."""
    if connections.few_left:
        raise CheckFailed(f"{len(connections)} of {connections.most} connections are open, and hardly one is idle")


async def require_descriptors(pid: int) -> None:
    """Raises CheckFailed where the process has hardly any descriptor left."""
    shortage = shortage_of(pid)
    if shortage is not None:
        raise CheckFailed(shortage)
