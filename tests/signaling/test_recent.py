"""What is kept of the last minutes, and what is not."""

from __future__ import annotations

import time

from app.signaling.recent import KEEP_PER_USER, KEEP_S, RecentEvents


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def seqs(recent: RecentEvents, user_id: str, since: int = 0) -> list[int]:
    return [event.seq for event in await recent.replay(user_id, since)]


async def test_seq_rises_over_all_users_and_each_has_its_own_events() -> None:
    recent = RecentEvents(1)
    events = [recent.append(user, "call_end", {"number": number}) for number, user in enumerate("abab")]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert await recent.replay("a", 0) == [events[0], events[2]]
    assert await seqs(recent, "b", since=2) == [4]
    assert await seqs(recent, "b", since=4) == []
    assert await seqs(recent, "nobody") == []


async def test_five_minutes_are_kept() -> None:
    clock = Clock()
    recent = RecentEvents(1, clock)
    recent.append("a", "call_end", {})
    clock.now = KEEP_S - 1
    recent.append("a", "call_end", {})
    assert await seqs(recent, "a") == [1, 2]
    clock.now = KEEP_S
    assert await seqs(recent, "a") == [2]
    recent.append("a", "call_end", {})
    assert len(recent) == 2


async def test_the_number_kept_per_user_is_bounded_and_the_latest_stay() -> None:
    recent = RecentEvents(1)
    for _ in range(KEEP_PER_USER + 5):
        recent.append("a", "call_end", {})
    assert len(recent) == KEEP_PER_USER
    assert (await seqs(recent, "a"))[0] == 6


async def test_users_who_are_told_nothing_any_more_are_forgotten() -> None:
    clock = Clock()
    recent = RecentEvents(1, clock)
    recent.append("a", "call_end", {})  # the first to come, and one who stays
    for number in range(1000):
        recent.append(f"user-{number}", "call_end", {})
    clock.now = 1.0
    recent.append("a", "call_end", {})
    clock.now = KEEP_S
    for _ in range(500):
        recent.append("a", "call_end", {})
    assert len(recent) == 501


def test_a_new_process_goes_on_above_the_former_ones_numbers() -> None:
    before = int(time.time() * 1000)
    assert before <= RecentEvents().append("a", "call_end", {}).seq <= before + 60_000
