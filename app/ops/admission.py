"""Whether the node takes a new call now. It is asked at each, and refuses with the reason.

What fails health for want of descriptors is refused here, too: a call that is begun then could have no media.
"""

from __future__ import annotations

import os

from app.errors import Draining, Overloaded
from app.ops.descriptors import shortage_of
from app.ops.drain import Drain
from app.ops.sampler import Sampler
from worker_bridge.pool import Pool


class Admission:
    """``limit`` is the stress above which calls are refused; 0 refuses none for it."""

    def __init__(self, drain: Drain, sampler: Sampler, pool: Pool, limit: float) -> None:
        self._drain = drain
        self._sampler = sampler
        self._pool = pool
        self._limit = limit

    def check(self) -> None:
        """Raises Draining, Overloaded where no call may begin."""
        if self.draining is not None:
            raise Draining(self.draining)
        why = self.full or self.short
        if why is not None:
            raise Overloaded(why)

    @property
    def draining(self) -> str | None:
        """What is said of it, while the node drains."""
        return "no new calls are taken" if self._drain.active else None

    @property
    def full(self) -> str | None:
        """Why there is no room for another call; None where there is."""
        stress = self._sampler.stress
        if not self._limit or stress.value <= self._limit:
            return None
        return f"stress {stress.value:.2f} is above the limit of {self._limit:g}: {stress.cause}"

    @property
    def short(self) -> str | None:
        """What is said where descriptors run short, the node's own or those of all workers that are up; else None."""
        own = shortage_of(os.getpid())
        if own is not None:
            return own
        workers = [shortage_of(slot.worker.pid) for slot in self._pool.slots if slot.worker is not None]
        return workers[0] if workers and all(workers) else None
