"""The beat to which packets are sent: one every 20 ms, reckoned from the first one, so that no delay adds up.

Who plays is spread over a few phases, so that not all send in one moment. A beat that the event loop was late for is
made up for at once; where the loop stood still for long, the beats of that time are left out, and their numbers with
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BEAT_S = 0.02
PHASES = 4
EARLY_S = 0.001  # a timer may be so much early
MOST_AT_ONCE = 10  # beats that are made up for: what a receiver's buffer holds

Play = Callable[[int], None]
"""Gets the number of the beat, which rises by 1 each 20 ms. Must be quick and raise nothing."""
LateListener = Callable[[float], None]


class Pacer:
    def __init__(self) -> None:
        self._phases = tuple(Phase(at * BEAT_S / PHASES) for at in range(PHASES))

    def on_beat(self, listener: LateListener) -> None:
        """Call ``listener(seconds)`` with how late each beat is that anybody plays to."""
        for phase in self._phases:
            phase.listeners.append(listener)

    def join(self, play: Play) -> Callable[[], None]:
        """Call ``play`` at each beat, until the function that is returned is called."""
        phase = min(self._phases, key=lambda one: len(one.players))
        phase.add(play)
        return lambda: phase.remove(play)


class Phase:
    """The beats at one offset, in seconds, which run while somebody plays."""

    def __init__(self, offset_s: float) -> None:
        self.players: dict[Play, None] = {}
        self.listeners: list[LateListener] = []
        self._offset_s = offset_s
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, play: Play) -> None:
        self.players[play] = None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._number = int((loop.time() - self._offset_s) / BEAT_S) + 1
            self._wait(loop)

    def remove(self, play: Play) -> None:
        self.players.pop(play, None)
        if not self.players and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> float:
        return self._number * BEAT_S + self._offset_s

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(self._due(), self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        late_s = loop.time() - self._due()
        for listener in self.listeners:
            listener(max(0.0, late_s))
        due = 1 + int(max(0.0, late_s + EARLY_S) / BEAT_S)
        if due > MOST_AT_ONCE:
            self._number += due - 1
            due = 1
        for _ in range(due):
            for play in tuple(self.players):
                play(self._number)
            self._number += 1
        if self.players:
            self._wait(loop)
