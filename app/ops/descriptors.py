"""File descriptors, which can run out: each HTTP and WebSocket connection takes one of the node's process, each media
connection over TCP one of a worker's. Media over UDP takes none: it has one port a worker."""

from __future__ import annotations

import resource
from pathlib import Path

FEW_LEFT = 64  # what a burst of connections takes between two checks


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
