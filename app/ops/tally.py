"""Counting and timing on paths that are taken thousands of times a second.

prometheus-client takes two locks to record one duration. Here all is recorded on the loop's thread, by an addition and
a search in a short list, and becomes a counter and a histogram when Prometheus asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str | int, ...]


class Times:
    """Durations in buckets, and a count of events without a duration."""

    __slots__ = ("_bounds", "buckets", "seconds", "untimed")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)  # one up to each bound, inclusive, and one for the rest
        self.seconds = 0.0
        self.untimed = 0

    def note(self, seconds: float) -> None:
        self.buckets[bisect_left(self._bounds, seconds)] += 1
        self.seconds += seconds

    @property
    def count(self) -> int:
        return sum(self.buckets) + self.untimed


class Tally(Collector):
    """A counter by all labels, and a histogram by all but the last one, which is the outcome."""

    def __init__(
        self, counter: str, counts: str, histogram: str, times: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        """``counter`` and ``histogram`` are the metrics' names, ``counts`` and ``times`` their help texts."""
        self._counter, self._counts = counter, counts
        self._histogram, self._times = histogram, times
        self._labels = labels
        self._bounds = bounds
        self.known: dict[Labels, Times] = {}

    def of(self, *labels: str | int) -> Times:
        """Where to record what has these labels."""
        times = self.known.get(labels)
        if times is None:
            times = self.known[labels] = Times(self._bounds)
        return times

    def collect(self) -> Iterator[Metric]:
        counter = CounterMetricFamily(self._counter, self._counts, labels=self._labels)
        together: dict[Labels, list[Times]] = defaultdict(list)
        for labels, times in list(self.known.items()):
            counter.add_metric([str(label) for label in labels], times.count)
            together[labels[:-1]].append(times)
        yield counter
        histogram = HistogramMetricFamily(self._histogram, self._times, labels=self._labels[:-1])
        names = [*map(str, self._bounds), "+Inf"]
        for labels, all_times in together.items():
            buckets = map(sum, zip(*(times.buckets for times in all_times), strict=True))
            rising = list(zip(names, accumulate(buckets), strict=True))
            histogram.add_metric([str(label) for label in labels], rising, sum(times.seconds for times in all_times))
        yield histogram
