"""When voices speak: once a frame, spread evenly, and what follows a delay. Times are numbers, no clock is read."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from voiceplane.loadtest.options import FRAMES_MS
from voiceplane.loadtest.pace import BEHIND_BIN_S, SLOT_S, Pace

FRAME_MS = 20
FRAME_S = FRAME_MS / 1000


class Sender:
    """Stands for a leg where only its identity matters."""


def spoken(pace: Pace, until: float) -> list[tuple[float, Sender]]:
    """Who was due when, for somebody who is always on time."""
    found = []
    while pace.next_at <= until:
        at = pace.next_at
        found += [(at, sender) for sender in pace.due(at)]
    return found


@pytest.mark.parametrize("frame_ms", FRAMES_MS)
def test_voices_are_spread_evenly_and_each_speaks_once_in_a_frame(frame_ms: int):
    frame_s = frame_ms / 1000
    pace, senders = Pace(0.0, frame_ms), [Sender() for _ in range(2 * frame_ms)]
    for sender in senders:
        pace.add(sender)
    found = spoken(pace, 10 * frame_s - SLOT_S / 2)
    assert len(found) == 10 * len(senders)
    assert set(Counter(round(at / SLOT_S) for at, _ in found).values()) == {2}
    moments = [at for at, sender in found if sender is senders[0]]
    assert [later - earlier for earlier, later in pairwise(moments)] == pytest.approx([frame_s] * 9)


def test_who_was_held_up_makes_up_for_it_gradually():
    pace, senders = Pace(0.0, FRAME_MS), [Sender() for _ in range(FRAME_MS)]
    for sender in senders:
        pace.add(sender)
    held_up_s = 5 * FRAME_S
    assert len(list(pace.due(held_up_s))) == FRAME_MS  # a frame of each, and not five
    missed = spoken(pace, 3 * held_up_s)
    assert max(Counter(at for at, _ in missed).values()) == 2  # twice as fast as usual
    assert FRAME_MS + len(missed) == pytest.approx(3 * held_up_s / SLOT_S, abs=1)  # and nothing was left out
    assert max(pace.behind) == pytest.approx(held_up_s / BEHIND_BIN_S, abs=1)


def test_a_voice_that_left_is_not_asked_again():
    pace, sender = Pace(0.0, FRAME_MS), Sender()
    pace.add(sender)
    pace.remove(sender)
    assert spoken(pace, FRAME_S) == []
