"""How often a user may ring otomos, in all and the same one: a ring disturbs somebody, and is stored.

The rings of the last minute are kept by caller. A refused one has rung nobody, and does not count. Knows no calls, and
stores nothing.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from app.errors import CallLimitExceeded

WINDOW_S = 60.0
MAX_CALLERS = 65536  # beyond it the caller with the oldest last ring is forgotten


class Attempt(NamedTuple):
    """One ring; ``at`` is in monotonic seconds."""

    at: float
    otomo_id: str
    call_id: str


class Attempts:
    """At most ``per_caller`` in a minute for each caller, and ``per_pair`` of them to one otomo; 0 is no limit."""

    def __init__(self, per_caller: int, per_pair: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_caller = per_caller
        self._per_pair = per_pair
        self._clock = clock
        self._made: OrderedDict[str, list[Attempt]] = (
            OrderedDict()
        )  # by caller; the one with the oldest last ring comes first

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._made)

    def check(self, caller_id: str, otomo_id: str) -> None:
        """Raises CallLimitExceeded with the whole seconds after which one more is allowed."""
        now = self._clock()
        made = self._recent(caller_id, now)
        to_otomo = [attempt for attempt in made if attempt.otomo_id == otomo_id]
        wait_s = max(over(made, self._per_caller, now), over(to_otomo, self._per_pair, now))
        if wait_s > 0:
            raise CallLimitExceeded(max(1, math.ceil(wait_s)))

    @contextmanager
    def counting(self, caller_id: str, otomo_id: str, call_id: str) -> Iterator[None]:
        """Check, and count the call that is made in the block, but only once, and not where the block raises.

        Raises CallLimitExceeded before the block is entered.
        """
        now = self._clock()
        made = self._recent(caller_id, now)
        if any(attempt.call_id == call_id for attempt in made):
            yield
            return
        self.check(caller_id, otomo_id)
        self._make_room(now)
        self._made[caller_id] = [*made, Attempt(now, otomo_id, call_id)]
        self._made.move_to_end(caller_id)
        try:
            yield
        except BaseException:
            self._made[caller_id] = [one for one in self._made.get(caller_id, ()) if one.call_id != call_id]
            raise

    def _recent(self, caller_id: str, now: float) -> list[Attempt]:
        return [attempt for attempt in self._made.get(caller_id, ()) if now - attempt.at < WINDOW_S]

    def _make_room(self, now: float) -> None:
        """Before a caller is added, drop up to two whose last ring is long ago, so that they do not pile up."""
        for _ in range(2):
            if not self._made:
                return
            caller_id, made = next(iter(self._made.items()))
            if made and now - made[-1].at < WINDOW_S and len(self._made) < MAX_CALLERS:
                return
            del self._made[caller_id]


def over(made: Sequence[Attempt], limit: int, now: float) -> float:
    """The seconds until there are fewer than ``limit``; 0 or less where there are now."""
    return made[-limit].at + WINDOW_S - now if limit and len(made) >= limit else 0.0
