"""What a load test reckons: percentiles, limits, and the units that a call ought to have been charged."""

from __future__ import annotations

from collections import Counter

import pytest

from voiceplane.loadtest.figures import binned_percentile, percentile
from voiceplane.loadtest.limits import LIMITS, verdicts
from voiceplane.loadtest.outcome import Outcome

UNIT_S = 60.0


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


def report(**changed: object) -> dict[str, object]:
    figures: dict[str, object] = {}
    for limit in LIMITS:
        section, _, name = limit.figure.partition(".")
        figures.setdefault(section, {})[name] = changed.get(limit.figure, 0)
    return figures


def test_what_was_not_asked_for_is_held_by_the_usual_limits():
    kept = {verdict.limit.name: verdict.kept for verdict in verdicts(report(**{"packets.lossPercent": 0.11}), {})}
    assert kept == {limit.name: limit.name != "max-loss" for limit in LIMITS if limit.usual is not None}


def test_what_was_asked_for_replaces_the_usual_limit():
    found = report(**{"packets.lossPercent": 0.11, "setupMs.p95": 50.5})
    held = {verdict.limit.name: verdict for verdict in verdicts(found, {"max-loss": 0.2, "max-setup-p95-ms": 50})}
    assert held["max-loss"].kept
    assert not held["max-setup-p95-ms"].kept
    assert str(held["max-setup-p95-ms"]).startswith("--max-setup-p95-ms 50: 50.5 ms (")


def test_what_could_not_be_measured_has_not_kept_its_limit():
    (held,) = [one for one in verdicts(report(**{"packets.lossPercent": None}), {}) if one.limit.name == "max-loss"]
    assert not held.kept
    assert "nothing was measured" in str(held)


def talked(seconds: float, *, ended: str = "manual", charged: int = 0) -> Outcome:
    """A call whose first packet left at 100 s, that was connected 10 ms later, and hung up in another 20 ms."""
    over = 100.0 + seconds
    return Outcome(
        "call",
        began_at=100.0,
        connected_at=100.01,
        hung_up_at=over,
        over_at=over + 0.02,
        ended_at=over + 0.03,
        end_reason=ended,
        units_charged=charged,
    )


@pytest.mark.parametrize(
    ("seconds", "billable"), [(59.9, (0, 0)), (59.99, (0, 1)), (60.0, (0, 1)), (60.02, (1, 1)), (150.0, (2, 2))]
)
def test_a_unit_counts_once_it_is_surely_over(seconds, billable):
    assert talked(seconds).billable_units(UNIT_S) == billable


def test_units_that_are_neither_billable_nor_charged_are_right_and_all_else_is_wrong():
    assert [talked(150.0, charged=charged).units_wrong(UNIT_S) for charged in range(5)] == [2, 1, 0, 1, 2]
    assert [talked(60.0, charged=charged).units_wrong(UNIT_S) for charged in range(3)] == [0, 0, 1]


def test_the_last_moments_before_a_worker_died_may_be_unproven():
    assert talked(61.0, ended="worker_died").billable_units(UNIT_S) == (0, 1)
    assert talked(63.0, ended="worker_died").billable_units(UNIT_S) == (1, 1)


def test_a_call_that_never_connected_is_worth_nothing():
    assert Outcome("call", fault="no").billable_units(UNIT_S) == (0, 0)


def test_a_call_is_cut_if_its_worker_died_or_it_failed_around_a_kill():
    assert talked(10.0, ended="worker_died").was_cut([])
    failed = Outcome("call", opened_at=50.0, ended_at=51.0, fault="503")
    assert failed.was_cut([48.0])
    assert failed.was_cut([50.5])
    assert not failed.was_cut([40.0, 52.0])
    assert not talked(10.0).was_cut([105.0])
