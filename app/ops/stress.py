"""How full a node is, as one number: 0 is idle, and 1.0 is as much as it should ever carry.

A worker is as stressed as the worse of its CPU and its packets. A new call goes to the least stressed worker, so the
node's workers are full when that one is; and the node is full when they are, or when its own loop can't keep up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

CPU_FULL_PERCENT = 90.0  # of one core: a worker is one thread, and with less to spare it forwards late
PACKETS_FULL = (
    50_000.0  # forwarded a second by one worker: 500 two-party calls, twice what is published for this engine
)
LAG_FULL_MS = 100.0  # on the average of five seconds: within that, a first packet has to have been told


class Stress(NamedTuple):
    """``cause`` is what there is least left of, for people."""

    value: float
    cause: str


def of_worker(cpu_percent: float, packets_out: float) -> Stress:
    """``cpu_percent`` of one core; ``packets_out`` a second."""
    return max(
        Stress(cpu_percent / CPU_FULL_PERCENT, f"the workers' CPU is at {cpu_percent:.0f} %"),
        Stress(packets_out / PACKETS_FULL, f"a worker forwards {packets_out:.0f} packets a second"),
    )


def of_node(workers: Iterable[Stress], lag_ms: float) -> Stress:
    """By the workers that are up; where none is, by the loop alone: that no worker is up is said elsewhere."""
    loop = Stress(lag_ms / LAG_FULL_MS, f"the event loop is {lag_ms:.0f} ms late")
    return max(loop, min(workers, default=loop))
