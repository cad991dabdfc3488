"""Whether the node takes a new call now. It is asked at each, and refuses with the reason."""

from __future__ import annotations

from app.errors import Draining, Overloaded
from app.ops.drain import Drain
from app.ops.sampler import Sampler


class Admission:
    """``limit`` is the stress above which calls are refused; 0 refuses none for it."""

    def __init__(self, drain: Drain, sampler: Sampler, limit: float) -> None:
        self._drain = drain
        self._sampler = sampler
        self._limit = limit

    def check(self) -> None:
        """:raises Draining, Overloaded: where no call may begin."""
        if self.draining is not None:
            raise Draining(self.draining)
        if self.full is not None:
            raise Overloaded(self.full)

    @property
    def draining(self) -> str | None:
        """What is said of it, while the node drains."""
        return "no new calls are taken" if self._drain.active else None

    @property
    def full(self) -> str | None:
        """Why there is no room for another call, where there is none."""
        stress = self._sampler.stress
        if not self._limit or stress.value <= self._limit:
            return None
        return f"stress {stress.value:.2f} is above the limit of {self._limit:g}: {stress.cause}"
