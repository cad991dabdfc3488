"""What can run out besides CPU. Media has one port a worker, bound while the worker is up; but each HTTP, WebSocket and
media connection over TCP takes a descriptor: of the node's process, or of a worker's."""

from __future__ import annotations

import resource
from pathlib import Path

FEW_LEFT = 64  # what a burst of connections takes between two looks


def shortage_of(pid: int) -> str | None:
    """What is said of a process that has hardly any descriptor left; None where there are enough, or it has gone."""
    try:
        limit, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        left = limit - descriptors(pid)
    except OSError:  # it has just gone, which is seen elsewhere
        return None
    return f"{max(0, left)} of {limit} descriptors are left" if left < FEW_LEFT else None


def descriptors(pid: int) -> int:
    """How many are open. The folder's size says so from Linux 6.2 on; before, it is 0."""
    folder = Path(f"/proc/{pid}/fd")
    return folder.stat().st_size or len(list(folder.iterdir()))
