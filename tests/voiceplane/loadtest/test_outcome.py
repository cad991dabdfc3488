"""The units that a call ought to have been charged, and which calls were cut by a killed worker."""

from __future__ import annotations

import pytest

from voiceplane.loadtest.moves import Kill, Move
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
    ("seconds", "billable"), [(59.9, (0, 0)), (59.99, (0, 1)), (62.0, (0, 1)), (62.02, (1, 1)), (150.0, (2, 2))]
)
def test_a_unit_counts_once_it_is_surely_over(seconds, billable):
    assert talked(seconds).billable_units(UNIT_S) == billable


def test_units_that_are_neither_billable_nor_charged_are_right_and_all_else_is_wrong():
    assert [talked(150.0, charged=charged).units_wrong(UNIT_S) for charged in range(5)] == [2, 1, 0, 1, 2]
    assert [talked(60.0, charged=charged).units_wrong(UNIT_S) for charged in range(3)] == [0, 0, 1]


def test_the_last_moments_before_a_worker_died_may_be_unproven():
    assert talked(61.0, ended="worker_died").billable_units(UNIT_S) == (0, 1)
    assert talked(63.0, ended="worker_died").billable_units(UNIT_S) == (1, 1)


def test_what_a_node_that_died_had_not_stored_may_be_unbilled():
    billable = {}
    for of in ("worker", "node"):
        outcome = talked(200.0)
        outcome.moves = [Move(told_at=171.0, kill=Kill(170.0, 0, of), heard_at=175.0, talked_from=174.9)]
        billable[of], _ = outcome.talked_s()
    assert billable["worker"] - billable["node"] == pytest.approx(2.0)


def test_a_call_that_never_connected_is_worth_nothing():
    assert Outcome("call", fault="no").billable_units(UNIT_S) == (0, 0)


def test_a_call_is_cut_if_its_worker_died_or_it_failed_around_a_kill():
    assert talked(10.0, ended="worker_died").was_cut([])
    failed = Outcome("call", opened_at=50.0, ended_at=51.0, fault="503")
    assert failed.was_cut([Kill(48.0, 0)])
    assert failed.was_cut([Kill(50.5, 0)])
    assert not failed.was_cut([Kill(40.0, 0), Kill(52.0, 0)])
    assert not talked(10.0).was_cut([Kill(105.0, 0)])


def test_what_was_not_talked_between_two_rooms_is_not_billable():
    """The worker died after 70 s, both heard again after 75 s; until 2 s before its death nothing is sure."""
    outcome = talked(200.0)
    outcome.moves = [Move(170.2, Kill(170.0, 0), connected_at=174.0, talked_from=174.5, heard_at=175.0)]
    assert outcome.talked_s() == pytest.approx((68 - 0.01 + 125, 70.2 + 125.52))
    assert outcome.billable_units(UNIT_S) == (3, 3)
    assert outcome.went_on


def test_a_call_that_got_no_sound_in_its_other_room_has_talked_in_the_first_alone():
    outcome = talked(200.0, ended="worker_died")
    outcome.moves = [Move(170.2, Kill(170.0, 0))]
    assert outcome.talked_s() == pytest.approx((68 - 0.01, 70.2))
    assert not outcome.went_on


def test_units_have_to_agree_with_what_the_server_itself_has_proven():
    outcome = talked(179.9, charged=3)
    outcome.hung_up_at, outcome.over_at = 279.9, 280.1  # our own clock can't tell
    outcome.duration_s = 180
    assert outcome.units_wrong(UNIT_S) == 0
    outcome.duration_s = 175
    assert outcome.units_wrong(UNIT_S) == 1


def test_what_the_server_missed_of_a_party_is_not_surely_billable():
    outcome = talked(200.0)
    outcome.silent_s = 30.0
    assert outcome.billable_units(UNIT_S) == (2, 3)
