"""Quantiles of the latest times."""

from __future__ import annotations

import pytest

from app.ops.latencies import Latencies


def test_nothing_measured_has_no_quantile():
    assert Latencies().quantile_ms(0.5) is None


@pytest.mark.parametrize(("share", "ms"), [(0.0, 1.0), (0.5, 51.0), (0.95, 96.0), (0.99, 100.0), (1.0, 100.0)])
def test_a_quantile_is_one_of_the_times(share, ms):
    times = Latencies()
    for number in range(100, 0, -1):
        times.note(number / 1000)
    assert times.quantile_ms(share) == ms


def test_only_the_latest_count():
    times = Latencies(kept=3)
    for seconds in (9.0, 0.001, 0.002, 0.003):
        times.note(seconds)
    assert times.quantile_ms(1.0) == 3.0
    times.clear()
    assert times.quantile_ms(1.0) is None
