"""Takes a sample once a second: calls, packets, and what the processes cost."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from voiceplane.loadtest import processes
from voiceplane.loadtest.engine import Totals
from voiceplane.loadtest.load_call import LoadContext
from voiceplane.loadtest.node import Cost
from voiceplane.loadtest.nodes import Nodes

EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one moment, each since its own beginning."""

    at: float  # the loop's clock
    calls: int
    talking: int
    cost: Cost
    generator_cpu_s: float
    driver_cpu_s: float
    totals: Totals


class Sample(msgspec.Struct, frozen=True, rename="camel"):
    """What happened between two readings. CPU is in cores: 1.0 is one core all the time."""

    at_s: float  # since the first reading
    calls: int
    talking: int
    worker_cpu: float
    plane_cpu: float
    generator_cpu: float
    driver_cpu: float
    sent: int
    received: int
    lost_percent: float

    @classmethod
    def between(cls, earlier: Reading, later: Reading, began_at: float) -> Sample:
        seconds = later.at - earlier.at
        packets = Counter(later.totals.packets)
        packets.subtract(earlier.totals.packets)
        sent = packets["sent"]

        def cores(before_s: float, now_s: float) -> float:
            return max(0.0, now_s - before_s) / seconds

        return cls(
            at_s=later.at - began_at,
            calls=later.calls,
            talking=later.talking,
            worker_cpu=cores(earlier.cost.worker_cpu_s, later.cost.worker_cpu_s),
            plane_cpu=cores(earlier.cost.plane_cpu_s, later.cost.plane_cpu_s),
            generator_cpu=cores(earlier.generator_cpu_s, later.generator_cpu_s),
            driver_cpu=cores(earlier.driver_cpu_s, later.driver_cpu_s),
            sent=sent,
            received=packets["received"],
            lost_percent=max(0, packets["missing"]) / sent * 100 if sent else 0.0,
        )


class Sampler:
    """`samples` grow by one a second, of which `show` is told; `empty` is the reading before all of them."""

    def __init__(self, context: LoadContext, nodes: Nodes, show: Callable[[Sample], None]) -> None:
        self._context = context
        self._nodes = nodes
        self._show = show
        self.empty = self._latest = self.read()
        self.samples: list[Sample] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            earlier, self._latest = self._latest, self.read()
            self.samples.append(Sample.between(earlier, self._latest, self.empty.at))
            self._show(self.samples[-1])

    async def read_now(self) -> Reading:
        """Read with the generator's counts of this moment; those that `read` takes are up to a second old."""
        await self._context.engine.count()
        return self.read()

    def read(self) -> Reading:
        return Reading(
            asyncio.get_running_loop().time(),
            len(self._context.live),
            len(self._context.talking),
            self._nodes.cost(),
            processes.cpu_seconds(self._context.engine.pid),
            processes.cpu_seconds(os.getpid()),
            self._context.engine.totals,
        )
