"""How many packets a second, from counts a second apart."""

from __future__ import annotations

import pytest

from app.media.packet_rate import WINDOW_S, PacketRate

BEGAN = 1000.0


def rates(counts: list[int], step_s: float = 1.0) -> list[float | None]:
    rate = PacketRate(BEGAN)
    return [rate.after(count, BEGAN + step_s * turn) for turn, count in enumerate(counts, start=1)]


def test_nothing_is_said_before_the_window_has_passed():
    assert rates([50, 100, 150, 200]) == [None, None, 50.0, 50.0]


def test_only_the_last_seconds_count():
    assert rates([0, 0, 0, 300, 600, 900, 900, 900, 900])[-6:] == [100.0, 200.0, 300.0, 200.0, 100.0, 0.0]


def test_a_stall_that_ends_in_a_burst_has_the_rate_of_what_was_sent():
    assert rates([50, 50, 50, 200, 250])[2:] == [pytest.approx(50 / 3), 50.0, pytest.approx(200 / 3)]


def test_counts_that_come_late_are_divided_by_the_time_that_has_passed():
    assert rates([1000], step_s=10.0) == [100.0]
    assert rates([100, 200], step_s=WINDOW_S / 2 - 0.001) == [None, None]
