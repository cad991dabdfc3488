"""Bodies about nodes, for admins: which there are, their workers, their last hour, and draining one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from schemas.base import Answer, Body
from schemas.types import Count, Measure, Name, Points, Prose, Text, Timestamp, Word

DrainMode = Literal["wait", "end", "move"]
WorkerState = Literal["up", "starting", "gave_up"]
NodeState = Literal["up", "draining", "gone"]

MAX_SAMPLES: Final = 720  # an hour
LONGEST_DRAIN_S: Final = 86400


class NodeLine(Answer, frozen=True, kw_only=True):
    """One node. ``node_id`` is a name that no other process ever has, and what other answers call ``node``.

    ``address`` is where other nodes reach it, null where it is alone. ``beat_age_ms`` is how long ago the database last
    heard of it, ``steady_seconds`` since when without a gap. Of one that is ``gone``, ``live_calls`` are those that no
    other node has adopted yet.
    """

    node_id: Name
    name: Name
    number: Count
    address: Text | None
    version: Word
    state: NodeState
    beat_age_ms: Count
    steady_seconds: Count
    stress: Measure
    live_calls: Count


class Nodes(Answer, frozen=True):
    """All nodes that live, and those that are gone while calls of theirs wait to be adopted. ``answered_by`` is the one
    that says so."""

    answered_by: Name
    nodes: tuple[NodeLine, ...]


class ProbeResult(Answer, frozen=True):
    """The last probe: whether a packet that went into the worker came out of it, and after how many milliseconds."""

    ok: bool
    ms: Measure
    at: Timestamp
    problem: Prose | UnsetType = UNSET


class PacketRates(Answer, frozen=True):
    """Packets a second in talking calls: those that parties send, and those that are forwarded to listeners."""

    received: Measure = field(name="in")
    forwarded: Measure = field(name="out")


class RequestTimes(Answer, frozen=True):
    """Requests without an answer yet, and how long the latest answers took; null where there was none."""

    pending: Count
    p50_ms: Measure | None
    p99_ms: Measure | None


class WorkerLine(Answer, frozen=True):
    """One worker. While it does not run, all that only a running one has is null; ``failure`` is why the last one died.
    CPU is in percent of one core."""

    index: Count
    state: WorkerState
    version: Word
    restarts: Count
    failure: Prose | None
    node: Name
    probe: ProbeResult | None = None
    pid: Count | None = None
    uptime_seconds: Count | None = None
    cpu_percent: Measure | None = None
    cpu_seconds: Measure | None = None
    memory_bytes: Points | None = None
    routers: Count = 0
    transports: Count = 0
    producers: Count = 0
    consumers: Count = 0
    stress: Measure | None = None
    packets_per_second: PacketRates | None = None
    requests: RequestTimes | None = None


class Workers(Answer, frozen=True):
    """All workers of all nodes. ``stress`` is that of the node that answers: 0 is idle, 1 is as much as it should
    carry. ``unanswered`` are nodes that have not answered within a second."""

    stress: Measure
    workers: tuple[WorkerLine, ...]
    unanswered: tuple[Name, ...] = ()


class Sample(Answer, frozen=True, kw_only=True):
    """The node in the time up to ``at``. Packets and requests are a second's; null where there was nothing to
    measure."""

    at: Timestamp
    calls: Count
    talking: Count
    stress: Measure
    loop_lag_ms: Measure
    worker_cpu_percent: Measure | None  # of one core, the mean of the workers that are up
    node_cpu_percent: Measure  # of one core, by this process with all its threads
    packets_in: Measure
    packets_out: Measure
    loss_percent: Measure | None  # of what listeners should have got, by their reports every few seconds
    http_requests: Measure
    http_p95_ms: Measure | None
    sockets: Count


Samples = Annotated[tuple[Sample, ...], Meta(max_length=MAX_SAMPLES)]


class NodeSamples(Answer, frozen=True):
    """Samples of another node, oldest first."""

    node: Name
    samples: Samples


class SampleSeries(Answer, frozen=True):
    """Samples of the node that answers, oldest first, and of the ``others``. ``unanswered`` are nodes that have not
    answered within a second."""

    step_seconds: Count
    node: Name
    samples: Samples
    others: tuple[NodeSamples, ...] = ()
    unanswered: tuple[Name, ...] = ()


class DrainRequest(Body, frozen=True):
    """How a drain ends calls. Without a deadline, ``wait`` waits without end, and ``end`` ends all at once."""

    empty_body: ClassVar[bool] = True

    mode: DrainMode = "wait"
    deadline_seconds: Annotated[int, Meta(ge=0, le=LONGEST_DRAIN_S)] | UnsetType = UNSET


class Drained(Answer, frozen=True):
    """Whether the node drains, and how many calls are left. ``mode`` is null where it does not."""

    draining: bool
    mode: DrainMode | None
    deadline_at: Timestamp | None
    live_calls: Count
