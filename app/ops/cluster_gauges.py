"""Prometheus' numbers of a node as one of several: which it is, whom it sees, and what it has lost to others.

A node that is alone tells them as well, so that rules and panels hold for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.cluster.membership import Membership
from app.ops import nodes
from app.ops.drain import Drain
from app.ops.metrics import PREFIX
from schemas.node import NodeState


class ClusterGauges:
    """``membership`` is None where the node is alone."""

    def __init__(
        self, name: str, membership: Membership | None, drain: Drain, lifecycle: Lifecycle, journal: Journal
    ) -> None:
        self._name = name
        self._membership = membership
        self._drain = drain
        self._lifecycle = lifecycle
        self._journal = journal

    def read(self) -> Iterator[Metric]:
        membership = self._membership
        yield InfoMetricFamily(f"{PREFIX}_node", "What the node is called.", {"node": self._name})
        seen = (
            Counter(line.state for line in nodes.seen(membership))
            if membership
            else Counter([nodes.state_of(self._drain.active)])
        )
        states = GaugeMetricFamily(
            f"{PREFIX}_nodes",
            "Nodes as this one sees them; of those that are gone, which have left calls.",
            labels=["state"],
        )
        for state in get_args(NodeState):
            states.add_metric([state], seen[state])
        yield states
        age_s = membership.beat_age_s if membership else 0.0
        yield GaugeMetricFamily(f"{PREFIX}_beat_age_seconds", "Since the database last heard of the node.", age_s)
        yield CounterMetricFamily(
            f"{PREFIX}_nodes_buried", "Nodes that this one has declared dead.", membership.buried if membership else 0
        )
        yield CounterMetricFamily(
            f"{PREFIX}_calls_fenced", "Calls of this node that another one had taken.", self._lifecycle.fenced
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_events_behind_seconds",
            "For how long others may have stored something that is not told here yet.",
            self._journal.behind_s,
        )
