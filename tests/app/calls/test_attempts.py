"""How often one may ring, under a clock that the tests move."""

from __future__ import annotations

import itertools

import pytest

from app.calls import attempts as attempts_module
from app.calls.attempts import Attempts
from app.errors import CallLimitExceeded, InvalidCallState, OtomoBusy

NUMBERS = itertools.count()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ring(attempts: Attempts, otomo_id: str, caller_id: str = "ann") -> int:
    """0, or after how many seconds one more is allowed."""
    try:
        attempts.check(caller_id, otomo_id)
        with attempts.counting(caller_id, otomo_id, f"call {next(NUMBERS)}"):
            pass
    except CallLimitExceeded as error:
        return error.retry_after_s
    return 0


def test_a_caller_rings_ten_times_in_a_minute_whomever(clock: Clock) -> None:
    attempts = Attempts(10, 3, clock)
    assert [ring(attempts, f"otomo {number}") for number in range(12)] == [0] * 10 + [60] * 2
    assert ring(attempts, "otomo", "bob") == 0


def test_a_caller_rings_the_same_otomo_three_times_in_a_minute(clock: Clock) -> None:
    attempts = Attempts(10, 3, clock)
    assert [ring(attempts, "otomo") for _ in range(4)] == [0, 0, 0, 60]
    assert ring(attempts, "another") == 0
    assert ring(attempts, "otomo", "bob") == 0


def test_one_more_is_allowed_when_the_refusal_said_so(clock: Clock) -> None:
    attempts = Attempts(10, 3, clock)
    for _ in range(3):
        ring(attempts, "otomo")
        clock.now += 10.5
    assert ring(attempts, "otomo") == 29  # the first one is 31.5 s old
    clock.now += 28
    assert ring(attempts, "otomo") == 1
    clock.now += 1
    assert ring(attempts, "otomo") == 0
    assert ring(attempts, "otomo") > 0


def test_never_more_than_the_limit_in_any_minute(clock: Clock) -> None:
    attempts, rung = Attempts(10, 3, clock), []
    for step in range(2000):
        clock.now += 0.25
        if ring(attempts, f"otomo {step % 7}") == 0:
            rung.append(clock.now)
    assert len(rung) > 80
    assert all(later - sooner >= attempts_module.WINDOW_S for sooner, later in zip(rung, rung[10:], strict=False))


def test_a_call_that_is_asked_for_again_counts_once(clock: Clock) -> None:
    attempts = Attempts(10, 3, clock)
    for _ in range(5):
        with attempts.counting("ann", "otomo", "the same"):
            pass
    assert [ring(attempts, "otomo") for _ in range(3)] == [0, 0, 60]


def test_a_call_that_rang_nobody_does_not_count(clock: Clock) -> None:
    attempts = Attempts(10, 3, clock)
    ring(attempts, "otomo")
    for number in range(5):
        with pytest.raises(OtomoBusy), attempts.counting("ann", "otomo", f"refused {number}"):
            raise OtomoBusy
    assert [ring(attempts, "otomo") for _ in range(3)] == [0, 0, 60]


def test_a_call_whose_repetition_fails_still_counts(clock: Clock) -> None:
    attempts = Attempts(10, 1, clock)
    with attempts.counting("ann", "otomo", "the same"):
        pass
    with pytest.raises(InvalidCallState), attempts.counting("ann", "otomo", "the same"):
        raise InvalidCallState
    assert ring(attempts, "otomo") == 60


def test_a_limit_of_zero_is_none(clock: Clock) -> None:
    assert {ring(Attempts(0, 0, clock), "otomo") for _ in range(50)} == {0}
    assert [ring(alone, "otomo") for alone in [Attempts(2, 0, clock)] for _ in range(3)] == [0, 0, 60]


def test_callers_who_are_silent_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(10, 3, clock)
    for number in range(100):
        ring(attempts, "otomo", f"caller {number}")
    clock.now += 61
    for number in range(100):
        ring(attempts, "otomo", f"later {number}")
    assert len(attempts) <= 101
    monkeypatch.setattr(attempts_module, "MAX_CALLERS", 50)
    for number in range(100):
        ring(attempts, "otomo", f"at once {number}")
    assert len(attempts) <= 50
