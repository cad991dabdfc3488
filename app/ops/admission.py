"""Decides for each new call whether the node takes it, and which worker gets its room.

Where health fails for lack of descriptors, calls are refused here, too: they could have no media.
"""

from __future__ import annotations

import os

from app.errors import Draining, Overloaded
from app.ops.descriptors import Descriptors
from app.ops.drain import Drain
from app.ops.forwarding_probe import ForwardingProbe
from app.ops.sampler import Sampler
from worker_bridge.errors import WorkerGone
from worker_bridge.pool import Pool, Slot

ROOMS_FULL = 250  # rooms: the capacity that mediasoup publishes for one core


class Admission:
    """``limit`` is the stress above which calls are refused; 0 is no limit."""

    def __init__(self, drain: Drain, sampler: Sampler, pool: Pool, descriptors: Descriptors, limit: float) -> None:
        self._drain = drain
        self._sampler = sampler
        self._pool = pool
        self._descriptors = descriptors
        self._limit = limit

    def check(self) -> None:
        """Raises Draining or Overloaded where no call may begin."""
        if self.draining is not None:
            raise Draining(self.draining)
        why = self.full or self.short
        if why is not None:
            raise Overloaded(why)

    @property
    def draining(self) -> str | None:
        """The sentence about draining, while the node drains; else None."""
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
        """The sentence about a shortage of descriptors, the node's own or that of all workers that are up; else
        None."""
        own = self._descriptors.shortage_of(os.getpid())
        if own is not None:
            return own
        up = (slot.worker for slot in self._pool.slots if slot.worker is not None)
        workers = [self._descriptors.shortage_of(worker.pid) for worker in up]
        return workers[0] if workers and all(workers) else None


class Placement:
    """Chooses the least stressed of the workers that forward, by their last probe, and have descriptors left."""

    def __init__(self, pool: Pool, sampler: Sampler, forwarding: ForwardingProbe, descriptors: Descriptors) -> None:
        self._pool = pool
        self._sampler = sampler
        self._forwarding = forwarding
        self._descriptors = descriptors

    def place(self) -> Slot:
        """The slot for the next room. A worker that failed its probe is better than none.

        Raises WorkerGone where no worker is up."""
        up = [slot for slot in self._pool.slots if slot.worker is not None]
        if not up:
            raise WorkerGone("no worker is up")
        return min([slot for slot in up if self._is_fit(slot)] or up, key=self._rank)

    def _is_fit(self, slot: Slot) -> bool:
        if self._forwarding.failed(slot):
            return False
        return slot.worker is None or self._descriptors.shortage_of(slot.worker.pid) is None

    def _rank(self, slot: Slot) -> tuple[float, int]:
        """The measured stress, or the one that its rooms will lead to, where that is more: the rooms of a burst are not
        measurable yet, and must not all go to one worker. Among equals, the fewest rooms."""
        rooms = slot.worker.load if slot.worker is not None else 0
        vitals = self._sampler.vitals_in(slot)
        measured = vitals.stress.value if vitals is not None else 0.0
        return max(measured, rooms / ROOMS_FULL), rooms
