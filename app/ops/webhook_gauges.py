"""Prometheus' gauges of webhooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.ops.metrics import PREFIX
from app.webhooks.standing import EndpointState, Standing


class WebhookGauges(Collector):
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterable[Metric]:
        waiting = "Deliveries to webhooks that are not disabled, which have not arrived."
        yield GaugeMetricFamily(f"{PREFIX}_webhook_deliveries_waiting", waiting, value=self._standing.waiting)
        endpoints = GaugeMetricFamily(f"{PREFIX}_webhooks", "Webhooks, by how they stand.", labels=["state"])
        for state in get_args(EndpointState):
            endpoints.add_metric([state], self._standing.endpoints[state])
        yield endpoints
