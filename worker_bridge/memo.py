"""Answers that are the same for every client of one browser version: computed once, found again by identity or content.

A memo is bounded and knows nothing of what it remembers. Its arguments must be immutable and hashable, and its function
pure. Not for use from several threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar, TypeVarTuple

LIMIT = 256  # contents; a service sees few browser versions, and a hostile client cannot grow this

Args = TypeVarTuple("Args")
R = TypeVar("R")


class Memo(Generic[*Args, R]):
    """A pure function with two memories.

    Hashing a browser's codecs costs more than all the rest of a request's ORTC work, and results of one memo are the
    arguments of the next: so arguments are first compared by identity (what has been seen is kept alive, which makes
    ``id`` sound), and by content only where that fails.

    Python holds ``True``, ``1`` and ``1.0`` for equal, and with them the arguments that contain them. ``guard``, where
    given, sees the arguments before they are compared by content, and raises what the function would raise for a
    look-alike.
    """

    __slots__ = ("_by_content", "_by_identity", "_guard")

    def __init__(self, function: Callable[[*Args], R], guard: Callable[[*Args], None] | None = None) -> None:
        def compute(*args: *Args) -> tuple[tuple[int, ...], R, object]:
            return tuple(map(id, args)), function(*args), args

        self._by_content = lru_cache(LIMIT)(compute)
        self._by_identity: dict[tuple[int, ...], tuple[tuple[int, ...], R, object]] = {}
        self._guard = guard

    def __call__(self, *args: *Args) -> R:
        known = self._by_identity.get(tuple(map(id, args)))
        if known is None:
            if self._guard is not None:
                self._guard(*args)
            known = self._by_content(*args)
            if len(self._by_identity) >= LIMIT:
                self._by_identity.clear()
            self._by_identity[known[0]] = known  # the first of equal arguments stands for all
        return known[1]


def remembered(function: Callable[[*Args], R]) -> Memo[*Args, R]:
    """Give a pure function of positional arguments a memory."""
    return Memo(function)
