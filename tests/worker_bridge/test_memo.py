"""A memo computes once per content, finds by identity, and stays small."""

from __future__ import annotations

import pytest

from worker_bridge.memo import LIMIT, Memo, remembered


class Spy:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, values: tuple[int, ...]) -> int:
        self.calls.append(values)
        return sum(values)


def fresh(*values: int) -> tuple[int, ...]:
    """A tuple that is no other one, however equal."""
    return values


def test_equal_arguments_are_computed_once() -> None:
    spy = Spy()
    memo = remembered(spy)
    first = fresh(1, 2)
    assert [memo(first), memo(first), memo(fresh(1, 2))] == [3, 3, 3]
    assert len(spy.calls) == 1


def test_it_stays_bounded_and_right() -> None:
    spy = Spy()
    memo = remembered(spy)
    for turn in range(2):
        for number in range(3 * LIMIT):
            assert memo(fresh(number, turn)) == number + turn
    assert len(memo._by_identity) <= LIMIT
    assert memo._by_content.cache_info().currsize <= LIMIT


def test_what_is_raised_is_not_remembered() -> None:
    def fails(values: tuple[int, ...]) -> int:
        spy(values)
        raise ValueError

    spy = Spy()
    memo = remembered(fails)
    for _ in range(2):
        with pytest.raises(ValueError):
            memo(fresh(1))
    assert len(spy.calls) == 2


def test_the_guard_sees_what_is_compared_by_content() -> None:
    seen = Spy()

    def guard(values: tuple[int, ...]) -> None:
        seen(values)
        if any(type(value) is bool for value in values):
            raise TypeError

    memo = Memo(Spy(), guard)
    known = fresh(1, 0)
    assert memo(known) == memo(known) == 1
    assert len(seen.calls) == 1
    with pytest.raises(TypeError):
        memo(fresh(True, 0))
