"""The events of the last minutes, in memory, for clients that reconnect. Lost with the process; knows no sockets."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from app.person import Person
from app.signaling.hub import Event
from schemas.base import encode

KEEP_S = 300.0  # seconds; how long a client may have been away
KEEP_PER_USER = 1000  # events; a call makes a few at either end and one a minute between


class RecentEvents:
    """What users were told lately. ``seq`` rises over all users of this node, and so for each of them.

    It begins at the wall clock's milliseconds: a client that saw events of this node's former process has a ``since``
    below all that come now, as long as there were fewer than a thousand events a second.
    """

    def __init__(self, first_seq: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._next_seq = int(time.time() * 1000) if first_seq is None else first_seq
        self._clock = clock
        # The user who was told something the longest ago comes first.
        self._kept: OrderedDict[Person, deque[tuple[float, Event]]] = OrderedDict()

    def __len__(self) -> int:
        """How many events are kept."""
        return sum(map(len, self._kept.values()))

    def append(self, person: Person, type_: str, payload: dict[str, Any]) -> Event:
        """Number an event and keep it. It is then to be published, with no await between the two."""
        now = self._clock()
        self._forget_users(now)
        event = Event(self._next_seq, person, type_, encode(payload))
        self._next_seq += 1
        kept = self._kept.setdefault(person, deque(maxlen=KEEP_PER_USER))
        while kept and kept[0][0] <= now - KEEP_S:
            kept.popleft()
        kept.append((now, event))
        self._kept.move_to_end(person)
        return event

    async def replay(self, person: Person, since: int) -> list[Event]:
        """The kept events of a user with a ``seq`` above ``since``, rising; what is older than kept is left out."""
        oldest = self._clock() - KEEP_S
        return [event for at, event in self._kept.get(person, ()) if event.seq > since and at > oldest]

    def _forget_users(self, now: float) -> None:
        """Drop the users whose last event is too old, two at a time, which is faster than they can come."""
        for _ in range(2):
            if not self._kept:
                return
            person, kept = next(iter(self._kept.items()))
            if kept[-1][0] > now - KEEP_S:
                return
            del self._kept[person]
