"""What was proven of a cluster, as lines of a table: what was done to it, and what held.

``CLUSTER_PROOF=long`` has every proof take its time; without it all of them are short.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest

LONG = os.environ.get("CLUSTER_PROOF") == "long"

Line = tuple[str, str, str]
LINES: pytest.StashKey[list[Line]] = pytest.StashKey()


class Proof:
    """Writes lines; the table is printed when all tests are over."""

    def __init__(self, config: pytest.Config) -> None:
        self._lines = config.stash.setdefault(LINES, [])

    def __call__(self, number: str, done: str, held: str) -> None:
        self._lines.append((number, done, held))


def table(config: pytest.Config) -> Iterator[str]:
    """The lines of the table; none where nothing was proven."""
    lines = config.stash.get(LINES, [])
    if lines:
        yield ""
        yield from ("| # | done | held |", "|---|---|---|")
        yield from (f"| {' | '.join(line)} |" for line in sorted(lines, key=lambda line: int(line[0][1:])))


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
