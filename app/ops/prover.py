"""Which workers are proven to forward: each when it comes up, then once a minute, sooner after a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from msgspec import UNSET

from app.calls.clock import Moment, now
from app.ops.probe import ProbeFailed, prove
from schemas.node import ProbeResult
from worker_bridge.pool import Pool, Slot
from worker_bridge.worker import Worker

PROVE_EVERY_S = 60.0
AGAIN_AFTER_S = 5.0  # after a failure

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """``problem`` is None where a packet came through; ``seconds`` is then what it took, else how long we tried."""

    at: Moment
    seconds: float
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None

    @property
    def due_at(self) -> float:
        """When the next one is due, in monotonic seconds."""
        return self.at.monotonic + (PROVE_EVERY_S if self.ok else AGAIN_AFTER_S)

    def result(self) -> ProbeResult:
        return ProbeResult(self.ok, round(self.seconds * 1000, 2), self.at.iso, self.problem or UNSET)


class Prover:
    """The latest proof of each worker."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._proofs: dict[int, tuple[Worker, Proof]] = {}  # by slot
        self._came_up = asyncio.Event()
        pool.on_worker_up(lambda _: self._came_up.set())

    def proof(self, slot: Slot) -> Proof | None:
        """Of the worker that is in the slot now; None until it is proven or has failed."""
        worker, proof = self._proofs.get(slot.index, (None, None))
        return proof if worker is slot.worker else None

    def failed(self, slot: Slot) -> bool:
        proof = self.proof(slot)
        return proof is not None and not proof.ok

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._came_up.clear()
            await self.prove_due()
            due = [proof.due_at for slot in self._pool.slots if (proof := self.proof(slot))]
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(due) - time.monotonic()) if due else None):
                    await self._came_up.wait()

    async def prove_due(self) -> None:
        """Prove every worker that has no proof, or an old one."""
        due = [slot for slot in self._pool.slots if self._is_due(slot)]
        await asyncio.gather(*(self._prove(slot, slot.worker) for slot in due if slot.worker is not None))

    def _is_due(self, slot: Slot) -> bool:
        proof = self.proof(slot)
        return proof is None or proof.due_at <= time.monotonic()

    async def _prove(self, slot: Slot, worker: Worker) -> None:
        began = now()
        problem = None
        try:
            seconds = await prove(worker)
        except ProbeFailed as error:
            seconds, problem = time.monotonic() - began.monotonic, str(error)
        if worker.closed:
            return  # whose death says more than that
        if problem is not None:
            logger.error("worker %d does not forward: %s", slot.index, problem)
        elif self.failed(slot):
            logger.info("worker %d forwards again", slot.index)
        self._proofs[slot.index] = worker, Proof(now(), seconds, problem)
