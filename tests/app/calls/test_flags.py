"""What stands, what has passed, and what is new."""

from __future__ import annotations

from app.calls.flags import KEPT, Flag, Flags
from app.clock import Moment
from schemas.quality import FlagType

DEAD, ONE_WAY = FlagType.DEAD_MICROPHONE, FlagType.ONE_WAY_AUDIO


def at(seconds: float) -> Moment:
    return Moment(seconds, round(seconds * 1000))


def test_a_flag_is_raised_once_and_taken_down_once():
    flags = Flags()
    assert flags.update({(DEAD, "user"): 5.0}, at(10)) == [Flag(DEAD, "user", at(5))]
    assert flags.update({(DEAD, "user"): 5.0}, at(11)) == []
    assert flags.standing == flags.all
    assert flags.update({}, at(12)) == []
    assert flags.standing == []
    assert flags.all == [Flag(DEAD, "user", at(5), until=at(12))]


def test_what_comes_again_is_another_flag():
    flags = Flags()
    for second in range(3):
        flags.update({(ONE_WAY, "otomo"): 10.0 * second}, at(10 * second + 5))
        flags.update({}, at(10 * second + 7))
    assert [(flag.since.monotonic, flag.until.monotonic) for flag in flags.all] == [(0, 7), (10, 17), (20, 27)]


def test_two_parties_have_their_own():
    flags = Flags()
    flags.update({(DEAD, "user"): 1.0, (DEAD, "otomo"): 2.0}, at(7))
    flags.update({(DEAD, "otomo"): 2.0}, at(8))
    assert [flag.party for flag in flags.standing] == ["otomo"]


def test_one_that_flutters_without_end_is_not_kept_without_end():
    flags = Flags()
    for second in range(3 * KEPT):
        flags.update({(DEAD, "user"): float(second)} if second % 2 else {}, at(second))
    assert len(flags.all) == KEPT
