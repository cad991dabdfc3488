"""The units that a call ought to have been charged, and which calls were cut by a killed worker."""

from __future__ import annotations

import pytest

from voiceplane.loadtest.outcome import Outcome

UNIT_S = 60.0


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
