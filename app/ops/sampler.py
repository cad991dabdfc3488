"""Samples the workers and the node itself once a second, and keeps an hour of samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from app.calls.registry import Registry
from app.clock import Moment, now
from app.media.traffic import Traffic
from app.ops.lag import LoopLag
from app.ops.latencies import Latencies
from app.ops.series import Series
from app.ops.stress import Stress, of_node
from app.ops.vitals import Vitals
from schemas.node import Sample
from worker_bridge.channel import Channel
from worker_bridge.pool import Pool, Slot

SAMPLE_EVERY_S = 1.0
UPGRADED = 101  # a WebSocket's request lasts as long as its socket


class Sampler:
    """Takes samples while ``run`` runs."""

    def __init__(
        self, pool: Pool, registry: Registry, traffic_of: Callable[[Channel], Traffic], sockets: Callable[[], int]
    ) -> None:
        self._vitals: dict[int, Vitals] = {}  # by slot
        self.lag = LoopLag()
        self.series = Series()
        self.http_times = Latencies()
        self._pool = pool
        self._registry = registry
        self._traffic_of = traffic_of
        self._sockets = sockets
        self._requests = 0
        self._seen = (time.monotonic(), time.process_time())
        pool.on_worker_up(self._meet)

    @property
    def stress(self) -> Stress:
        """The node's stress now."""
        return of_node((vitals.stress for vitals in self.up()), self.lag.mean_ms)

    def up(self) -> list[Vitals]:
        return [vitals for vitals in self._vitals.values() if not vitals.worker.closed]

    def vitals_in(self, slot: Slot) -> Vitals | None:
        """The vitals of the worker that is in the slot now; None where there is none."""
        vitals = self._vitals.get(slot.index)
        return vitals if vitals is not None and vitals.worker is slot.worker else None

    def request_answered(self, _method: str, _route: str, status: int, seconds: float) -> None:
        self._requests += 1
        if status != UPGRADED:
            self.http_times.note(seconds)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            self.sample(now())

    def sample(self, at: Moment) -> None:
        for vitals in self.up():
            vitals.measure(at.monotonic)
        self.series.add(self._sample(at))

    def _meet(self, slot: Slot) -> None:
        if slot.worker is not None:
            self._vitals[slot.index] = Vitals(slot.worker, self._traffic_of(slot.worker.channel))

    def _sample(self, at: Moment) -> Sample:
        up = self.up()
        (before, cpu_before), cpu = self._seen, time.process_time()
        since = max(at.monotonic - before, 1e-3)
        self._seen = (at.monotonic, cpu)
        requests, self._requests = self._requests, 0
        p95_ms = self.http_times.quantile_ms(0.95)
        self.http_times.clear()
        return Sample(
            at=at.iso,
            calls=len(self._registry),
            talking=len(self._registry.talking()),
            stress=self.stress.value,
            loop_lag_ms=self.lag.worst_ms,
            worker_cpu_percent=sum(one.cpu_percent for one in up) / len(up) if up else None,
            node_cpu_percent=100 * (cpu - cpu_before) / since,
            packets_in=sum(one.packets_in for one in up),
            packets_out=sum(one.packets_out for one in up),
            loss_percent=loss_percent(up),
            http_requests=requests / since,
            http_p95_ms=p95_ms,
            sockets=self._sockets(),
        )


def loss_percent(up: list[Vitals]) -> float | None:
    """Packets lost, of those that listeners should have got; None where nothing was counted. A late packet counts as
    lost until it comes."""
    expected = sum(one.expected for one in up)
    return max(0.0, 100 * sum(one.lost for one in up) / expected) if expected > 0 else None
