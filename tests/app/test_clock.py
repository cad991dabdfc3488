"""Two clocks in one moment: what is due by one, what is read by the other."""

from __future__ import annotations

import time

import pytest

from app.clock import WORKER_CLOCK_SKEW_S, Moment, at_worker_time, iso, now, shifted


def test_a_moment_is_read_as_utc_with_milliseconds():
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert Moment(1.0, 1_800_000_000_007).iso == "2027-01-15T08:00:00.007Z"


def test_now_is_both_clocks_at_once():
    before, moment, after = time.monotonic(), now(), time.monotonic()
    assert before <= moment.monotonic <= after
    assert moment.utc_ms == pytest.approx(time.time() * 1000, abs=1000)


def test_a_shifted_moment_moves_both_clocks_alike():
    assert shifted(Moment(100.0, 500_000), 98.5) == Moment(98.5, 498_500)
    assert shifted(Moment(100.0, 500_000), 100.25) == Moment(100.25, 500_250)


def test_a_workers_stamp_is_the_machines_monotonic_clock():
    stamp_ms = int(time.monotonic() * 1000) - 250
    present, moment = now(), at_worker_time(stamp_ms)
    assert moment.monotonic == pytest.approx(stamp_ms / 1000, abs=0.001)
    assert present.utc_ms - moment.utc_ms == pytest.approx((present.monotonic - moment.monotonic) * 1000, abs=20)


@pytest.mark.parametrize("off_s", [60.0, -WORKER_CLOCK_SKEW_S - 1])
def test_a_stamp_of_another_clock_means_now(off_s):
    before = now()
    moment = at_worker_time(int((before.monotonic + off_s) * 1000))
    assert before.monotonic <= moment.monotonic <= now().monotonic
