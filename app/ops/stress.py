"""How full a node is, as one number: 0 is idle, and 1.0 is as much as it should ever carry.

A worker's stress is that of its CPU or of its packets, whichever is higher. A new call goes to the least stressed
worker, so that one's stress is the workers'; the node's is theirs or that of its own event loop, whichever is higher.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

CPU_FULL_PERCENT = 90.0  # of one core: a worker is one thread, and above that it forwards late
PACKETS_FULL = 50_000.0  # a second, forwarded by one worker: 500 two-party calls, twice what mediasoup publishes
LAG_FULL_MS = 100.0  # on the average of five seconds: ``call_connected`` has to be out within that time


class Stress(NamedTuple):
    """``cause`` names what there is least left of, for people."""

    value: float
    cause: str


def of_worker(cpu_percent: float, packets_out: float) -> Stress:
    """``cpu_percent`` of one core; ``packets_out`` a second."""
    return max(
        Stress(cpu_percent / CPU_FULL_PERCENT, f"the workers' CPU is at {cpu_percent:.0f} %"),
        Stress(packets_out / PACKETS_FULL, f"a worker forwards {packets_out:.0f} packets a second"),
    )


def of_node(workers: Iterable[Stress], lag_ms: float) -> Stress:
    """The node's stress, from that of the workers that are up; where none is, from the loop's alone (health says
    so)."""
    loop = Stress(lag_ms / LAG_FULL_MS, f"the event loop is {lag_ms:.0f} ms late")
    return max(loop, min(workers, default=loop))
