"""Prometheus' gauges: how many calls, sockets and workers there are now, and what the workers use.

They are read on the event loop, where nothing changes meanwhile, and given to the thread that writes the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.http.connections import WHY_CUT, Connections
from app.ledger.values import LIVE_STATES
from app.ops.cluster_gauges import ClusterGauges
from app.ops.drain import Drain
from app.ops.forwarding_probe import ForwardingProbe
from app.ops.metrics import PREFIX
from app.ops.sampler import Sampler
from app.ops.vitals import cpu_seconds, resident_bytes
from app.signaling.hub import Hub
from schemas.quality import FlagType
from worker_bridge.pool import Pool


class Gauges(Collector):
    """``read`` takes the node's numbers, ``collect`` returns those that were taken last."""

    def __init__(
        self,
        version: str,
        registry: Registry,
        lifecycle: Lifecycle,
        drain: Drain,
        connections: Connections,
        hub: Hub,
        pool: Pool,
        sampler: Sampler,
        forwarding: ForwardingProbe,
        cluster: ClusterGauges,
    ) -> None:
        self._version = version
        self._registry = registry
        self._lifecycle = lifecycle
        self._drain = drain
        self._connections = connections
        self._hub = hub
        self._pool = pool
        self._sampler = sampler
        self._forwarding = forwarding
        self._cluster = cluster
        self._seen: list[Metric] = []

    def read(self) -> None:
        self._seen = [*self._node(), *self._workers(), *self._cluster.read()]

    def collect(self) -> Iterable[Metric]:
        return self._seen

    def _node(self) -> Iterator[Metric]:
        about = {"version": self._version, "worker_version": self._pool.native.version}
        yield InfoMetricFamily(f"{PREFIX}_build", "Releases of the control plane and of its worker.", about)
        states = Counter(call.state for call in self._registry)
        calls = gauge("calls", "Live calls.", "state")
        for state in LIVE_STATES:
            calls.add_metric((state,), states[state])
        yield calls
        standing = Counter(flag.type for call in self._registry for flag in call.flags.standing)
        flagged = gauge("calls_flagged", "What is wrong with live calls now.", "type")
        for flag_type in FlagType:
            flagged.add_metric((flag_type,), standing[flag_type])
        yield flagged
        yield gauge(
            "stress", "How full the node is; 1 is as much as it should carry.", value=self._sampler.stress.value
        )
        yield gauge("units_waiting", "Billable units that are not stored yet.", value=self._lifecycle.meter.waiting)
        yield gauge("http_connections", "Open TCP connections of HTTP and WebSocket.", value=len(self._connections))
        yield gauge("http_connections_limit", "As many of them as there may be.", value=self._connections.most)
        cut = counter("http_connections_cut", "Connections refused or cut off, by why.", "reason")
        for why in WHY_CUT:
            cut.add_metric((why,), self._connections.cuts[why])
        yield cut
        yield gauge("websockets", "Open WebSockets.", value=self._hub.socket_count)
        yield gauge("websocket_users", "Users with an open WebSocket.", value=self._hub.user_count)
        yield gauge("draining", "1 while the node takes no new calls.", value=self._drain.active)

    def _workers(self) -> Iterator[Metric]:
        up = gauge("worker_up", "1 while the worker is up.", "worker")
        forwards = gauge("worker_forwards", "1 where the last packet that was sent through it came out.", "worker")
        restarts = counter("worker_restarts", "Times that a worker was started again.", "worker")
        cpu = counter("worker_cpu_seconds", "CPU time of the worker that is up.", "worker")
        memory = gauge("worker_resident_memory_bytes", "Memory of the worker that is up.", "worker")
        pending = gauge("worker_pending_requests", "Requests that the worker has not answered yet.", "worker")
        stress = gauge("worker_stress", "How full the worker is; 1 is as much as it should carry.", "worker")
        received = counter("worker_rtp_packets_received", "Packets of talking parties.", "worker")
        forwarded = counter("worker_rtp_packets_forwarded", "Packets passed on to whoever listens.", "worker")
        for slot in self._pool.slots:
            label = (str(slot.index),)
            up.add_metric(label, slot.worker is not None)
            restarts.add_metric(label, slot.restarts)
            if slot.worker is not None:
                cpu.add_metric(label, cpu_seconds(slot.worker))
                memory.add_metric(label, resident_bytes(slot.worker))
                pending.add_metric(label, slot.worker.channel.pending)
            if outcome := self._forwarding.outcome(slot):
                forwards.add_metric(label, outcome.ok)
            if vitals := self._sampler.vitals_in(slot):
                stress.add_metric(label, vitals.stress.value)
                received.add_metric(label, vitals.traffic.received)
                forwarded.add_metric(label, vitals.traffic.forwarded)
        yield from (up, forwards, restarts, cpu, memory, pending, stress, received, forwarded)


def gauge(name: str, means: str, *labels: str, value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", means, value=value, labels=labels or None)


def counter(name: str, means: str, *labels: str, value: float | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", means, value=value, labels=labels or None)
