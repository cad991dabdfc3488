"""Bodies about a node at work, for admins: its workers, its last hour, and draining it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from schemas.base import ObjectOf, Schema
from schemas.call import count, points
from schemas.fields import Choice, Flag, ListOf, Number, Text, Timestamp, Whole

DrainMode = Literal["wait", "end"]
WorkerState = Literal["up", "starting", "gave_up"]

MAX_WORKERS = 256
MAX_SAMPLES = 720  # an hour
LONGEST_DRAIN_S = 86400


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether a packet that went into the worker came out of it, and after how many milliseconds."""

    ok: bool
    ms: float
    at: datetime
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class PacketRates:
    """A second: what parties of talking calls send, and what of it goes on to somebody who listens."""

    received: float
    forwarded: float


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """Requests that are not answered yet, and how long the latest answers took; null where there was none."""

    pending: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One worker. What only a running one has is null while there is none; ``failure`` is what the last one died of.
    CPU is in percent of one core."""

    index: int
    state: WorkerState
    version: str
    restarts: int
    failure: str | None
    probe: ProbeResult | None = None
    pid: int | None = None
    uptime_seconds: int | None = None
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    routers: int = 0
    transports: int = 0
    producers: int = 0
    consumers: int = 0
    stress: float | None = None
    packets_per_second: PacketRates | None = None
    requests: RequestTimes | None = None


@dataclass(frozen=True, slots=True)
class Workers:
    """``stress`` is the node's: 0 is idle, 1 is as much as it should carry."""

    stress: float
    workers: tuple[WorkerLine, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """Some time of the node, until ``at``. Packets and requests a second; null: nothing to measure."""

    at: datetime
    calls: int
    talking: int
    stress: float
    loop_lag_ms: float
    worker_cpu_percent: float | None  # of one core, the mean of the workers that are up
    node_cpu_percent: float  # of one core, by this process with all its threads
    packets_in: float
    packets_out: float
    loss_percent: float | None  # of what listeners should have got, learned every few seconds
    http_requests: float
    http_p95_ms: float | None
    sockets: int


@dataclass(frozen=True, slots=True)
class SampleSeries:
    """Oldest first."""

    step_seconds: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """How a node gets rid of its calls. Without a deadline ``wait`` waits without end, and ``end`` ends all at once."""

    mode: DrainMode = "wait"
    deadline_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Drained:
    """Whether new calls are refused, and how many are left. ``mode`` is null where they are not."""

    draining: bool
    mode: DrainMode | None
    deadline_at: datetime | None
    live_calls: int


class ProbeResultSchema(Schema[ProbeResult]):
    ok = Flag()
    ms = Number()
    at = Timestamp()
    problem = Text(at_most=1000, load_default=None)


class PacketRatesSchema(Schema[PacketRates]):
    received = Number(data_key="in")
    forwarded = Number(data_key="out")


class RequestTimesSchema(Schema[RequestTimes]):
    pending = count()
    p50_ms = Number(allow_none=True)
    p99_ms = Number(allow_none=True)


class WorkerLineSchema(Schema[WorkerLine]):
    index = count()
    state = Choice(*get_args(WorkerState))
    version = Text(at_most=64)
    restarts = count()
    failure = Text(at_most=1000, allow_none=True)
    probe = ObjectOf(ProbeResultSchema, allow_none=True)
    pid = count(allow_none=True)
    uptime_seconds = count(allow_none=True)
    cpu_percent = Number(allow_none=True)
    cpu_seconds = Number(allow_none=True)
    memory_bytes = points(allow_none=True)
    routers = count()
    transports = count()
    producers = count()
    consumers = count()
    stress = Number(allow_none=True)
    packets_per_second = ObjectOf(PacketRatesSchema, allow_none=True)
    requests = ObjectOf(RequestTimesSchema, allow_none=True)


class WorkersSchema(Schema[Workers]):
    stress = Number()
    workers = ListOf(ObjectOf(WorkerLineSchema), at_most=MAX_WORKERS)


class SampleSchema(Schema[Sample]):
    at = Timestamp()
    calls = count()
    talking = count()
    stress = Number()
    loop_lag_ms = Number()
    worker_cpu_percent = Number(allow_none=True)
    node_cpu_percent = Number()
    packets_in = Number()
    packets_out = Number()
    loss_percent = Number(allow_none=True)
    http_requests = Number()
    http_p95_ms = Number(allow_none=True)
    sockets = count()


class SampleSeriesSchema(Schema[SampleSeries]):
    step_seconds = count()
    samples = ListOf(ObjectOf(SampleSchema), at_most=MAX_SAMPLES)


class DrainRequestSchema(Schema[DrainRequest]):
    empty_body = True

    mode = Choice(*get_args(DrainMode), load_default="wait")
    deadline_seconds = Whole(at_least=0, at_most=LONGEST_DRAIN_S, load_default=None)


class DrainedSchema(Schema[Drained]):
    draining = Flag()
    mode = Choice(*get_args(DrainMode), allow_none=True)
    deadline_at = Timestamp(allow_none=True)
    live_calls = count()
