"""Percentiles, of values and of bins."""

from __future__ import annotations

from collections import Counter

from voiceplane.loadtest.figures import binned_percentile, percentile


def test_percentiles_are_values_that_were_seen():
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) is None


def test_percentiles_of_bins_are_those_of_their_values():
    values = [3, 3, 3, 8, 120]
    for percent in (1, 50, 60, 61, 80, 81, 100):
        assert binned_percentile(Counter(values), percent) == percentile(values, percent)
    assert binned_percentile(Counter(), 50) is None
