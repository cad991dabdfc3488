"""Prometheus' registry of a node that is one of several: every sample says which node it is of.

So what is scraped by whichever address, through a proxy or by service discovery, is told apart by the name that
operators gave the node, as in ``GET /admin/nodes`` and the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

LABEL = "node"


class NodeRegistry(CollectorRegistry):
    """Adds the label as it is read, so that whoever counts knows nothing of it."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            labelled = copy(metric)  # who collected it may keep it
            labelled.samples = [one._replace(labels={**one.labels, LABEL: self._node}) for one in metric.samples]
            yield labelled
