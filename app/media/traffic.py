"""How much a worker forwards, as counted by the sweeps over its talking calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Packets since the worker came up: what parties sent, and what of it went on to somebody who listens; as of
    ``counted_at``, in monotonic seconds. ``expected`` and ``lost`` are the listeners', a few seconds behind."""

    received: int = 0
    forwarded: int = 0
    counted_at: float = 0.0
    expected: int = 0
    lost: int = 0
