"""The label that says which node a sample is of."""

from __future__ import annotations

from prometheus_client import Counter, Histogram, generate_latest
from prometheus_client.core import InfoMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from app.ops.node_registry import NodeRegistry
from tests.app.ops.scraped import Scraped


class Told(Collector):
    """What was read before, as the gauges are: it may be collected again."""

    def __init__(self) -> None:
        self.metrics = [InfoMetricFamily("about", "What it is called.", {"node": "one", "version": "1"})]

    def collect(self) -> list[InfoMetricFamily]:
        return self.metrics


def test_every_sample_says_which_node_it_is_of() -> None:
    registry, told = NodeRegistry("one"), Told()
    registry.register(told)
    Counter("asked", "With labels.", ("code",), registry=registry).labels("200").inc(3)
    Histogram("seconds", "Without.", registry=registry).observe(1)
    for _ in range(2):
        scraped = Scraped(generate_latest(registry).decode())
        assert {sample.labels["node"] for sample in scraped.samples} == {"one"}
        assert scraped.total("asked_total", code="200") == 3
        assert scraped.total("seconds_bucket", le="+Inf") == scraped.total("seconds_count") == 1
        assert scraped.total("about_info", version="1") == 1
    assert [sample.labels for sample in told.metrics[0].samples] == [{"node": "one", "version": "1"}]
    assert b'asked_total{code="200",node="one"} 3.0' in openmetrics.generate_latest(registry)
