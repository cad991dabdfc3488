from __future__ import annotations

import pytest

from app.tariffs import End, due_s, due_together, end_of, needed_at_once, needed_points
from schemas.tariff import Tariff

MINUTES = Tariff(unit_seconds=60, unit_points=100)
BEGUN = Tariff(unit_seconds=60, unit_points=100, charge="started")
SIX = Tariff(unit_seconds=60, unit_points=100, minimum_units=6)
SIX_BEGUN = Tariff(unit_seconds=60, unit_points=100, minimum_units=6, charge="started")
FIVE_FREE = Tariff(unit_seconds=60, unit_points=100, free_seconds=300)
FREE_THEN_BEGUN = Tariff(unit_seconds=60, unit_points=100, free_seconds=300, charge="started")


@pytest.mark.parametrize(
    ("tariff", "due"),
    [
        (MINUTES, [60, 120, 180, 240, 300, 360, 420, 480]),
        (BEGUN, [0, 60, 120, 180, 240, 300, 360, 420]),
        (SIX, [60, 60, 60, 60, 60, 60, 420, 480]),
        (SIX_BEGUN, [0, 0, 0, 0, 0, 0, 360, 420]),
        (FIVE_FREE, [360, 420, 480, 540, 600, 660, 720, 780]),
        (FREE_THEN_BEGUN, [300, 360, 420, 480, 540, 600, 660, 720]),
    ],
)
def test_units_are_due_at_their_time_and_those_of_the_minimum_with_the_first(tariff: Tariff, due: list[float]) -> None:
    assert [due_s(tariff, index) for index in range(1, 9)] == due


def test_the_minimum_is_charged_with_the_first_unit_and_each_other_one_alone() -> None:
    assert [due_together(SIX, index) for index in (1, 7, 8)] == [6, 1, 1]
    assert [due_together(MINUTES, index) for index in (1, 2, 3)] == [1, 1, 1]


def test_a_call_needs_its_minimum_at_once_or_nothing_where_it_begins_free() -> None:
    assert [needed_at_once(one) for one in (MINUTES, SIX, FIVE_FREE)] == [100, 600, 0]
    assert needed_points(FIVE_FREE) == 100


@pytest.mark.parametrize(
    ("tariff", "units", "balance", "end"),
    [
        (MINUTES, 0, 250, End(180, "low_balance", charged=True, missing=150)),
        (MINUTES, 1, 150, End(180, "low_balance", charged=True, missing=150)),
        (MINUTES, 2, 50, End(180, "low_balance", charged=True, missing=150)),
        (MINUTES, 0, 300, End(180, "low_balance", charged=True, missing=100)),
        (MINUTES, 0, 0, End(60, "low_balance", missing=200)),
        (BEGUN, 0, 250, End(120, "low_balance", missing=50)),
        (BEGUN, 1, 150, End(120, "low_balance", missing=50)),
        (BEGUN, 2, 50, End(120, "low_balance", missing=50)),
        (BEGUN, 3, 0, End(180, "low_balance", missing=100)),
        (SIX, 0, 650, End(420, "low_balance", charged=True, missing=150)),
        (SIX, 0, 50, End(60, "low_balance", charged=True, missing=650)),
        (SIX_BEGUN, 0, 599, End(0, "low_balance", missing=1)),
        (SIX_BEGUN, 0, 600, End(360, "low_balance", missing=100)),
        (SIX_BEGUN, 6, 0, End(360, "low_balance", missing=100)),
        (FIVE_FREE, 0, 99, End(300, "low_balance", missing=1)),
        (FIVE_FREE, 0, 100, End(360, "low_balance", charged=True, missing=100)),
        (FREE_THEN_BEGUN, 0, 99, End(300, "low_balance", missing=1)),
        (FREE_THEN_BEGUN, 0, 100, End(360, "low_balance", missing=100)),
        (MINUTES, 0, 100_000, End(3600, "max_duration")),
        (MINUTES, 0, None, End(3600, "max_duration")),
        (Tariff(unit_seconds=60, unit_points=0), 0, 0, End(3600, "max_duration")),
    ],
)
def test_a_call_ends_where_its_points_or_its_longest_duration_are_over(
    tariff: Tariff, units: int, balance: int | None, end: End
) -> None:
    assert end_of(tariff, 3600, units, balance) == end


@pytest.mark.parametrize("tariff", [MINUTES, BEGUN, SIX, SIX_BEGUN, FIVE_FREE, FREE_THEN_BEGUN])
@pytest.mark.parametrize("balance", range(0, 2000, 70))
def test_what_is_missing_lets_a_call_go_on_for_a_unit(tariff: Tariff, balance: int) -> None:
    end = end_of(tariff, 1e9, 0, balance)
    assert end_of(tariff, 1e9, 0, balance + end.missing).at_s >= end.at_s + (60 if balance >= 600 else 1)


@pytest.mark.parametrize("tariff", [MINUTES, BEGUN, SIX, SIX_BEGUN, FIVE_FREE])
def test_the_end_stays_where_it_is_while_units_are_charged(tariff: Tariff) -> None:
    balance, units, first = 1234, 0, end_of(tariff, 1e9, 0, 1234)
    while balance >= 100 * due_together(tariff, units + 1):
        count = due_together(tariff, units + 1)
        units, balance = units + count, balance - 100 * count
        assert end_of(tariff, 1e9, units, balance) == first
