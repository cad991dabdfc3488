"""One worker's CPU, packets and answering times, from what the node knows already.

CPU comes from the heartbeat, packets from the sweep over talking calls, times from the channel. The worker gets no
additional request.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from app.media.traffic import Traffic
from app.ops.latencies import Latencies
from app.ops.stress import Stress, of_worker
from worker_bridge.channel import Note, Outcome
from worker_bridge.worker import Worker

SETTLES_WITHIN_S = 3.0  # the time constant of smoothed figures: a burst of set-ups is no load yet
NOBODY_TALKS_AFTER_S = 3.0  # without a sweep
ASKED_IN_BULK = frozenset(
    {"PRODUCER_GET_STATS", "CONSUMER_GET_STATS"}
)  # many of these go in one write, and wait for one another


PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """One worker's figures, measured once a second. Rates are of the last second, ``stress`` is smoothed."""

    def __init__(self, worker: Worker, traffic: Traffic) -> None:
        self.worker = worker
        self.request_times = Latencies()
        self.cpu_percent = 0.0  # of one core
        self.packets_in = 0.0  # a second
        self.packets_out = 0.0
        self.expected = 0  # packets that listeners should have got, as of the last measurement
        self.lost = 0  # of those
        self.traffic = traffic
        self._seen_packets = (traffic.counted_at, traffic.received, traffic.forwarded)
        self._seen_loss = (traffic.expected, traffic.lost)
        self._seen_cpu = (worker.usage_at, cpu_seconds(worker))
        self._measured_at: float | None = None
        self._smooth_cpu = 0.0
        self._smooth_out = 0.0
        worker.channel.observe(self._times_of)

    @property
    def stress(self) -> Stress:
        return of_worker(self._smooth_cpu, self._smooth_out)

    def measure(self, at: float) -> None:
        """Measure the time since the last call; ``at`` is in monotonic seconds."""
        since = at - self._measured_at if self._measured_at is not None else 0.0
        self._measured_at = at
        if since <= 0:
            return
        self._measure_cpu()
        self._measure_packets(at)
        self._measure_loss()
        weight = 1 - math.exp(-since / SETTLES_WITHIN_S)
        self._smooth_cpu += weight * (self.cpu_percent - self._smooth_cpu)
        self._smooth_out += weight * (self.packets_out - self._smooth_out)

    def _measure_cpu(self) -> None:
        """From two heartbeats and the times at which they came."""
        (before_at, before_s), at = self._seen_cpu, self.worker.usage_at
        if at > before_at:
            spent_s = cpu_seconds(self.worker)
            self._seen_cpu = at, spent_s
            if before_at:
                self.cpu_percent = 100 * (spent_s - before_s) / (at - before_at)

    def _measure_packets(self, at: float) -> None:
        """From two sweeps and the times at which they counted. Where there was none for a while, nobody talks."""
        traffic, (before_at, received, forwarded) = self.traffic, self._seen_packets
        self._seen_packets = (traffic.counted_at, traffic.received, traffic.forwarded)
        if before_at < traffic.counted_at:
            since = traffic.counted_at - before_at
            self.packets_in = (traffic.received - received) / since
            self.packets_out = (traffic.forwarded - forwarded) / since
        elif at - traffic.counted_at > NOBODY_TALKS_AFTER_S:
            self.packets_in = self.packets_out = 0.0

    def _measure_loss(self) -> None:
        expected, lost = self._seen_loss
        self._seen_loss = self.traffic.expected, self.traffic.lost
        self.expected, self.lost = self.traffic.expected - expected, self.traffic.lost - lost

    def _times_of(self, method: str, _: Outcome) -> Note | None:
        return None if method in ASKED_IN_BULK else self.request_times.note


def cpu_seconds(worker: Worker) -> float:
    """CPU spent so far, as of the last heartbeat, which is at most half a second old."""
    used = worker.resource_usage
    return float(used.get("ru_utime", 0) + used.get("ru_stime", 0)) / 1000


def resident_bytes(worker: Worker) -> int:
    """The process' resident memory; 0 where it has just gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{worker.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    return 0
