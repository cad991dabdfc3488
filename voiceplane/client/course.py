"""A call's state by what events tell of it and what the server says when it is asked, which may cross on the way."""

from __future__ import annotations

from collections.abc import Callable

from voiceplane.client.states import CallState, Step, after, merged


class Course:
    def __init__(self, state: CallState) -> None:
        self.state = state
        self._events = 0

    def told(self, step: Step) -> CallState:
        """The state after a step that an event tells."""
        self._events += 1
        return after(self.state, step)

    def ask(self) -> Callable[[str], CallState]:
        """To be called before the server is asked. What it returns makes a state of the answer's."""
        events = self._events
        return lambda stored: merged(self.state, stored, "since" if events == self._events else "before")
