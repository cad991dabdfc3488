"""On which worker a new room goes: the one that is least stressed, of those that are proven to forward and have
descriptors left."""

from __future__ import annotations

from app.ops.descriptors import shortage_of
from app.ops.forwarding_probe import ForwardingProbe
from app.ops.sampler import Sampler
from worker_bridge.errors import WorkerGone
from worker_bridge.pool import Pool, Slot

ROOMS_FULL = 250  # what is published for one core of this engine


class Placement:
    """Asked at every room."""

    def __init__(self, pool: Pool, sampler: Sampler, forwarding: ForwardingProbe) -> None:
        self._pool = pool
        self._sampler = sampler
        self._forwarding = forwarding

    def place(self) -> Slot:
        """Raises WorkerGone where no worker is up. One that failed its probe is better than none."""
        up = [slot for slot in self._pool.slots if slot.worker is not None]
        if not up:
            raise WorkerGone("no worker is up")
        return min([slot for slot in up if self._is_fit(slot)] or up, key=self._rank)

    def _is_fit(self, slot: Slot) -> bool:
        return not self._forwarding.failed(slot) and (slot.worker is None or shortage_of(slot.worker.pid) is None)

    def _rank(self, slot: Slot) -> tuple[float, int]:
        """The stress that is measured, or the one that its rooms will come to, where that is more: rooms of a burst
        are not felt yet, and must not all go to one worker. Among equals, the fewest rooms."""
        rooms = slot.worker.load if slot.worker is not None else 0
        vitals = self._sampler.vitals_in(slot)
        measured = vitals.stress.value if vitals is not None else 0.0
        return max(measured, rooms / ROOMS_FULL), rooms
