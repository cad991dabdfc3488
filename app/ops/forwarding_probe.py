"""Probes whether workers forward: each one when it comes up, then once a minute, sooner after a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from msgspec import UNSET

from app.clock import Moment, now
from app.ops.probe import ProbeFailed, probe_forwarding
from schemas.node import ProbeResult
from worker_bridge.pool import Pool, Slot
from worker_bridge.worker import Worker

PROBE_EVERY_S = 60.0
AGAIN_AFTER_S = 5.0  # after a failure

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """``problem`` is None where a packet came through; ``seconds`` is how long that took, or how long it was tried."""

    at: Moment
    seconds: float
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None

    @property
    def due_at(self) -> float:
        """When the next probe is due, in monotonic seconds."""
        return self.at.monotonic + (PROBE_EVERY_S if self.ok else AGAIN_AFTER_S)

    def result(self) -> ProbeResult:
        return ProbeResult(self.ok, round(self.seconds * 1000, 2), self.at.iso, self.problem or UNSET)


class ForwardingProbe:
    """The latest outcome of each worker."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._outcomes: dict[int, tuple[Worker, ProbeOutcome]] = {}  # by slot
        self._came_up = asyncio.Event()
        pool.on_worker_up(lambda _: self._came_up.set())

    def outcome(self, slot: Slot) -> ProbeOutcome | None:
        """The outcome for the worker that is in the slot now; None before its first probe has ended."""
        worker, outcome = self._outcomes.get(slot.index, (None, None))
        return outcome if worker is slot.worker else None

    def failed(self, slot: Slot) -> bool:
        outcome = self.outcome(slot)
        return outcome is not None and not outcome.ok

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._came_up.clear()
            await self.probe_due()
            due = [outcome.due_at for slot in self._pool.slots if (outcome := self.outcome(slot))]
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(due) - time.monotonic()) if due else None):
                    await self._came_up.wait()

    async def probe_due(self) -> None:
        """Probe every worker that has no outcome yet, or an old one."""
        due = [slot for slot in self._pool.slots if self._is_due(slot)]
        await asyncio.gather(*(self._probe(slot, slot.worker) for slot in due if slot.worker is not None))

    def _is_due(self, slot: Slot) -> bool:
        outcome = self.outcome(slot)
        return outcome is None or outcome.due_at <= time.monotonic()

    async def _probe(self, slot: Slot, worker: Worker) -> None:
        began = now()
        problem = None
        try:
            seconds = await probe_forwarding(worker)
        except ProbeFailed as error:
            seconds, problem = time.monotonic() - began.monotonic, str(error)
        if worker.closed:
            return  # it died, which the pool reports
        if problem is not None:
            logger.error("worker %d does not forward: %s", slot.index, problem)
        elif self.failed(slot):
            logger.info("worker %d forwards again", slot.index)
        self._outcomes[slot.index] = worker, ProbeOutcome(now(), seconds, problem)
