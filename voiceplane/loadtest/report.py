"""The report of a load test, as it is written for scripts: every figure, its unit in its name.

`findings.py` makes it, `limits.py` judges it, `summary.py` words it. None stands for what could not be measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from voiceplane.loadtest.limits import JudgedLimit
from voiceplane.loadtest.sampler import Sample

LATE_MS = 20.0  # the usual frame


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the report and its parts."""


class Machine(Part, frozen=True):
    cores: int | None
    model: str


class Asked(Part, frozen=True):
    calls: int
    ramp_per_second: float
    duration_seconds: float
    frame_ms: int


class Calls(Part, frozen=True):
    """Of the calls that lost their worker or node to one of the `kills`, some `went_on` and some were `cut`; of the
    kills `nodes_killed` were nodes. In `missed` ones
    the server heard nothing of a party for a while, though it had a room: the generator was kept from sending.
    `faults` are of the first few that failed."""

    opened: int
    completed: int
    failed: int
    went_on: int
    cut: int
    missed: int
    kills: int
    nodes_killed: int
    end_reasons: dict[str, int]
    faults: list[str]


class Spread(Part, frozen=True):
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class Moves(Part, frozen=True):
    """From the kill of a worker or node. The gaps are of each party, from its last packet to its first; `silent` moves
    had no sound again."""

    count: int
    calls: int
    silent: int
    told_ms: Spread
    connected_ms: Spread
    heard_ms: Spread
    gap_ms: Spread


class Packets(Part, frozen=True):
    """`lost` is of the calls that ended as asked, `held_loss_percent` of the time in which all calls were there."""

    sent: int
    received: int
    repeated: int
    strange: int
    forged: int
    lost: int
    loss_percent: float | None
    held_loss_percent: float | None
    lost_with_workers: int
    dropped_at_server: int
    dropped_at_generator: int
    unsent: int  # the generator's own fault, or a dead worker's port


class Forwarding(Part, frozen=True):
    """Times during the hold: from just before a packet was sent until the kernel had it back. `late` packets took
    longer than `LATE_MS`."""

    p50: float | None
    p99: float | None
    max: float | None
    late: int
    generator_behind_p99: float


class Cpu(Part, frozen=True):
    """CPU during the hold. 1.0 is one core all the time."""

    worker_cores: float
    control_plane_cores: float
    generator_cores: float
    driver_cores: float
    worker_ms_per_call_second: float | None
    calls_per_worker_core: int | None


class Memory(Part, frozen=True):
    plane_kib_per_call: float
    worker_kib_per_call: float
    plane_bytes: int
    worker_bytes: int


class Billing(Part, frozen=True):
    """`billable_units` are the fewest and the most that are right; `talked_seconds` are by the server's clock,
    `proven_seconds` the fewest and the most by ours."""

    unit_seconds: float
    charged_units: int
    billable_units: tuple[int, int]
    talked_seconds: int
    proven_seconds: tuple[int, int]
    error_units: int


class Witnesses(Part, frozen=True):
    asked: int
    bad: int
    heard: list[str]


class Report(Part, frozen=True, kw_only=True):
    """`limits` and `passed` are there once it was judged."""

    machine: Machine
    asked: Asked
    calls: Calls
    setup_ms: Spread
    first_rtp_ms: Spread
    connected_ms: Spread
    moves: Moves
    packets: Packets
    forwarding_ms: Forwarding
    cpu: Cpu
    memory: Memory
    billing: Billing
    witnesses: Witnesses
    samples: Sequence[Sample]
    limits: Sequence[JudgedLimit] = ()
    passed: bool = False
