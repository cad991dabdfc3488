"""Who is kept out, by the second."""

from __future__ import annotations

import pytest

from app.access.standing import Standing
from app.errors import Banned, Unauthorized
from app.person import Person

ANN, NAMESAKE = Person("user", "ann"), Person("otomo", "ann")
NOW_S = 1_800_000_000.0


class Clock:
    now = NOW_S

    def __call__(self) -> float:
        return self.now


def test_a_ban_is_of_one_person_until_it_is_over_or_lifted() -> None:
    clock = Clock()
    standing = Standing(clock)
    standing.note(ANN, True, int(1000 * NOW_S) + 1000, None)
    standing.check(NAMESAKE, NOW_S)
    with pytest.raises(Banned):
        standing.check(ANN, NOW_S)
    clock.now += 0.999
    assert standing.is_banned(ANN)
    clock.now += 0.001
    standing.check(ANN, NOW_S)
    standing.note(ANN, True, None, None)
    clock.now += 10**9
    assert standing.is_banned(ANN)
    standing.note(ANN, False, None, None)
    standing.check(ANN, NOW_S)


@pytest.mark.parametrize(
    ("issued_at", "is_refused"),
    [(None, True), (NOW_S - 1, True), (NOW_S, True), (NOW_S + 0.4, True), (NOW_S + 0.6, False), (NOW_S + 1, False)],
)
def test_tokens_are_refused_that_may_be_older_than_the_revocation(issued_at: float | None, is_refused: bool) -> None:
    standing = Standing()
    standing.note(ANN, False, None, int(1000 * NOW_S) + 500)
    assert standing.is_revoked(ANN, issued_at) is is_refused
    assert not standing.is_revoked(NAMESAKE, issued_at)
    if is_refused:
        with pytest.raises(Unauthorized):
            standing.check(ANN, issued_at)


def test_a_revoked_token_of_somebody_banned_is_no_good_token() -> None:
    standing = Standing()
    standing.note(ANN, True, None, int(1000 * NOW_S))
    with pytest.raises(Unauthorized):
        standing.check(ANN, NOW_S - 1)
    with pytest.raises(Banned):
        standing.check(ANN, NOW_S + 1)
