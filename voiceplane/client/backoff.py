"""How long to wait before the next attempt, whatever is attempted."""

from __future__ import annotations

import random


class Backoff:
    """A random time up to a limit that doubles with each attempt, from `first_s` to `longest_s`: otherwise all clients
    of a server that is back would come at the same moment."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next(self) -> float:
        """Seconds to wait now."""
        limit_s, self._next_s = self._next_s, min(self._next_s * 2, self._longest_s)
        return random.uniform(0, limit_s)  # noqa: S311 -- spreads, and keeps no secret

    def reset(self) -> None:
        self._next_s = self._first_s
