"""The token bucket, under a clock that the tests move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access import ratelimit
from app.access.ratelimit import RateLimiter
from app.errors import RateLimited


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(limiter: RateLimiter, user_id: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limiter.admit(user_id)
        except RateLimited:
            continue
        count += 1
    return count


@pytest.mark.parametrize("rate", [0.25, 1, 3, 50, 333])
def test_a_burst_is_twice_the_rate_and_never_none(rate: float) -> None:
    assert admitted(RateLimiter(rate, Clock()), "ann", 2000) == max(1, 2 * rate)


def test_after_a_burst_requests_come_at_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    admitted(limiter, "ann", 100)
    clock.now += 0.5
    assert admitted(limiter, "ann", 100) == 5
    clock.now += 60
    assert admitted(limiter, "ann", 100) == 20


def test_one_user_does_not_spend_anothers_tokens() -> None:
    limiter = RateLimiter(5, Clock())
    admitted(limiter, "ann", 100)
    assert admitted(limiter, "bob", 100) == 10


@pytest.mark.parametrize(("rate", "wait"), [(50, 1), (0.25, 4), (0.3, 4)])
def test_a_refusal_names_whole_seconds_after_which_one_more_passes(rate: float, wait: int) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, clock)
    admitted(limiter, "ann", 1000)
    with pytest.raises(RateLimited) as refusal:
        limiter.admit("ann")
    assert refusal.value.retry_after_s == wait
    clock.now += wait
    limiter.admit("ann")


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock)
    admitted(limiter, "ann", 50)
    clock.now += 1
    limiter.admit("ann")


def test_a_rate_of_zero_refuses_nobody_and_remembers_nobody() -> None:
    limiter = RateLimiter(0, Clock())
    assert admitted(limiter, "ann", 1000) == 1000
    assert len(limiter) == 0


def test_users_who_left_are_forgotten_as_others_come() -> None:
    clock = Clock()
    limiter = RateLimiter(50, clock)
    for number in range(100):
        limiter.admit(f"early-{number}")
    clock.now += 3
    for number in range(60):
        limiter.admit(f"late-{number}")
    assert len(limiter) == 60


def test_memory_is_bounded_even_where_nobody_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "MAX_BUCKETS", 20)
    limiter = RateLimiter(1, Clock())
    for number in range(100):
        limiter.admit(f"user-{number}")
    assert len(limiter) <= 20
    assert admitted(limiter, "user-99", 5) == 1  # the latest are still counted


@given(st.floats(0.1, 200), st.lists(st.floats(0, 5), max_size=60))
def test_no_stretch_of_time_admits_more_than_its_share(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, clock)
    total = 0
    for pause in pauses:
        clock.now += pause
        total += admitted(limiter, "ann", 5)
    elapsed = clock.now - 1000
    assert total <= max(1.0, 2 * rate) + rate * elapsed + 0.01
