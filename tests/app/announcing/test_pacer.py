"""The beat: that it neither drifts nor skips. How exact it is, is measured by `bench/announcing.py`."""

from __future__ import annotations

import asyncio
import time

from app.announcing.pacer import BEAT_S, MOST_AT_ONCE, PHASES, Pacer
from tests.conftest import eventually


class Player:
    """The numbers of the beats that it was played."""

    def __init__(self) -> None:
        self.beats: list[int] = []

    def play(self, number: int) -> None:
        self.beats.append(number)

    async def played(self, beats: int) -> None:
        await eventually(lambda: len(self.beats) < beats and f"{len(self.beats)} of {beats} beats")


async def test_beats_are_numbered_without_a_gap_and_as_many_as_time_has_passed():
    pacer, player = Pacer(), Player()
    began = asyncio.get_running_loop().time()
    stop = pacer.join(player.play)
    await player.played(20)
    stop()
    passed = asyncio.get_running_loop().time() - began
    assert player.beats == list(range(player.beats[0], player.beats[0] + len(player.beats)))
    assert len(player.beats) <= passed / BEAT_S + 1


async def test_a_late_beat_is_made_up_for():
    pacer, player = Pacer(), Player()
    late: list[float] = []
    pacer.on_beat(late.append)
    stop = pacer.join(player.play)
    await player.played(2)
    before = len(player.beats)
    time.sleep(4.5 * BEAT_S)  # noqa: ASYNC251 -- the loop stands still
    await player.played(before + 4)
    stop()
    assert player.beats == list(range(player.beats[0], player.beats[0] + len(player.beats)))
    assert max(late) >= 3 * BEAT_S


async def test_beats_of_a_long_standstill_are_left_out():
    pacer, player = Pacer(), Player()
    stop = pacer.join(player.play)
    await player.played(2)
    before = len(player.beats)
    time.sleep((MOST_AT_ONCE + 5) * BEAT_S)  # noqa: ASYNC251
    await player.played(before + 1)
    stop()
    assert player.beats[before] - player.beats[before - 1] > MOST_AT_ONCE


async def test_players_are_spread_over_the_phases_and_stop_when_they_leave():
    pacer = Pacer()
    players = [Player() for _ in range(2 * PHASES)]
    stops = [pacer.join(player.play) for player in players]
    assert [len(phase.players) for phase in pacer._phases] == [2] * PHASES
    for player in players:
        await player.played(2)
    for stop in stops:
        stop()
        stop()
    assert all(phase._timer is None for phase in pacer._phases)


async def test_who_leaves_while_it_plays_is_not_called_again():
    pacer, other = Pacer(), Player()
    calls = []

    def once(number: int) -> None:
        calls.append(number)
        stop()

    stop = pacer.join(once)
    for _ in range(PHASES):
        pacer.join(other.play)
    await other.played(4 * PHASES)
    assert len(calls) == 1
    for phase in pacer._phases:
        phase.remove(other.play)
