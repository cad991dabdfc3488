"""File descriptors, which can run out: each HTTP and WebSocket connection takes one of the node's process, each media
connection over TCP one of a worker's. Media over UDP takes none: it has one port a worker."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

FEW_LEFT = 64  # what a burst of connections takes between two checks
LOOK_EVERY_S = 0.02  # for each new call it would be a fortieth of what the call takes


class Descriptors:
    """Looks at a process now and then, however often it is asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[float, str | None]] = {}

    def shortage_of(self, pid: int) -> str | None:
        """As :func:`shortage_of`, a moment ago."""
        now = self._clock()
        seen = self._seen.get(pid)
        if seen is None or now - seen[0] >= LOOK_EVERY_S:
            seen = self._seen[pid] = now, shortage_of(pid)
        return seen[1]


def shortage_of(pid: int) -> str | None:
    """The sentence about a process with hardly any descriptor left; None where there are enough, or it has gone."""
    try:
        limit, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        left = limit - descriptors(pid)
    except OSError:  # it has just gone, which others notice
        return None
    return f"{max(0, left)} of {limit} descriptors are left" if left < FEW_LEFT else None


def descriptors(pid: int) -> int:
    """How many are open: the size of /proc's folder, from Linux 6.2 on; before that it is 0."""
    folder = Path(f"/proc/{pid}/fd")
    return folder.stat().st_size or len(list(folder.iterdir()))
