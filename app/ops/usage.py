"""What a worker's process uses, without asking it anything."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from worker_bridge.worker import Worker

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(worker: Worker) -> float:
    """Spent so far, as of the last heartbeat, half a second ago at most."""
    used = worker.resource_usage
    return float(used.get("ru_utime", 0) + used.get("ru_stime", 0)) / 1000


def resident_bytes(worker: Worker) -> int:
    """0 where the process has just gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{worker.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    return 0
