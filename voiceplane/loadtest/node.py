"""The processes of one node, control plane and workers, and what each has cost so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from voiceplane.loadtest import processes

WORKER = "mediasoup-worke"  # Linux keeps 15 characters of a name


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and packets that found a worker's socket full, since each process began; bytes of memory held now."""

    worker_cpu_s: float = 0.0
    plane_cpu_s: float = 0.0
    worker_bytes: int = 0
    plane_bytes: int = 0
    worker_drops: int = 0


class Node:
    """`pid` is the control plane's. Of processes that have ended, what they have cost by then is kept."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._cpu_of_workers: dict[int, float] = {}  # those that have ended keep their last reading
        self._drops_of_workers: dict[int, int] = {}
        self._plane_cpu_s = 0.0

    def workers(self) -> list[int]:
        """The native workers that run now."""
        return [pid for pid in processes.children(self.pid) if processes.name(pid) == WORKER]

    def cost(self, workers: Sequence[int], drops: Counter[int]) -> Cost:
        """`workers` are those that run now, `drops` the packets that found the sockets of each full."""
        self._plane_cpu_s = max(self._plane_cpu_s, processes.cpu_seconds(self.pid))
        for pid in workers:
            self._cpu_of_workers[pid] = processes.cpu_seconds(pid)
            self._drops_of_workers[pid] = drops[pid]
        return Cost(
            sum(self._cpu_of_workers.values()),
            self._plane_cpu_s,
            sum(map(processes.resident_bytes, workers)),
            processes.resident_bytes(self.pid),
            sum(self._drops_of_workers.values()),
        )
