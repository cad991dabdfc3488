"""A clock of talked time: it runs and stands by moments that others name."""

from __future__ import annotations

import pytest

from app.calls.talk_clock import TalkClock
from app.clock import Moment


def moment(monotonic: float) -> Moment:
    return Moment(monotonic, 0)


def test_it_stands_until_it_is_started():
    clock = TalkClock()
    assert (clock.runs, clock.since, clock.talked_at(1e9), clock.reaches(1.0)) == (False, None, 0.0, None)


def test_it_counts_from_its_start():
    clock = TalkClock()
    clock.start(moment(1000.0))
    assert (clock.runs, clock.since) == (True, moment(1000.0))
    assert [clock.talked_at(at) for at in (1000.0, 1000.25, 1059.5)] == [0.0, 0.25, 59.5]
    assert clock.reaches(60.0) == 1060.0


def test_nothing_is_talked_before_it_began_to_run():
    clock = TalkClock(30.0)
    clock.start(moment(1000.0))
    assert clock.talked_at(900.0) == 30.0


def test_a_second_start_changes_nothing():
    clock = TalkClock()
    clock.start(moment(1000.0))
    clock.start(moment(1010.0))
    assert clock.talked_at(1020.0) == 20.0


def test_it_is_set_back_to_the_moment_of_its_stop():
    clock = TalkClock()
    clock.start(moment(1000.0))
    assert clock.talked_at(1030.0) == 30.0
    clock.stop(1024.0)
    assert (clock.runs, clock.talked_at(1030.0), clock.talked_at(2000.0)) == (False, 24.0, 24.0)
    assert clock.reaches(60.0) is None


def test_a_stop_before_the_start_takes_nothing_that_was_talked_before():
    clock = TalkClock(10.0)
    clock.start(moment(1000.0))
    clock.stop(990.0)
    assert clock.talked_at(2000.0) == 10.0


def test_a_second_stop_changes_nothing():
    clock = TalkClock()
    clock.start(moment(1000.0))
    clock.stop(1010.0)
    clock.stop(1005.0)
    clock.stop(1015.0)
    assert clock.talked_at(2000.0) == 10.0


def test_it_goes_on_where_it_stood():
    clock = TalkClock()
    for start, stop in ((1000.0, 1010.0), (1100.0, 1105.0), (1200.0, 1200.5)):
        clock.start(moment(start))
        clock.stop(stop)
    clock.start(moment(1300.0))
    assert clock.talked_at(1310.0) == 25.5
    assert clock.reaches(60.0) == 1344.5
    assert clock.reaches(10.0) == 1294.5, "long ago: it was talked before the last start"


@pytest.mark.parametrize("talked_ms", [0, 1, 999, 62_001, 14_400_000])
def test_it_crosses_processes_in_milliseconds(talked_ms):
    clock = TalkClock(talked_ms / 1000)
    assert clock.talked_ms_at(5.0) == talked_ms
    clock.start(moment(123_456.789))
    assert clock.talked_ms_at(123_456.789 + 60.0) == talked_ms + 60_000
    clock.stop(123_456.789 + 60.0)
    again = TalkClock(clock.talked_ms_at(0.0) / 1000)
    assert again.talked_ms_at(0.0) == talked_ms + 60_000


def test_a_whole_minute_has_sixty_seconds_wherever_the_clock_stands():
    for number in range(1000):
        began = 123_456.789 + number * 0.0137
        clock = TalkClock()
        clock.start(moment(began))
        assert clock.talked_ms_at(began + 60.0) // 1000 == 60
