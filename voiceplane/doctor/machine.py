"""The machine: descriptors, memory and cores for a node."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

from app.settings import Settings
from app.settings import cores as usable_cores
from voiceplane.doctor.finding import Finding, fail, ok, warn
from worker_bridge.pool import RECEIVE_BUFFER_BYTES

MIB = 1 << 20
ENOUGH_DESCRIPTORS, LEAST_DESCRIPTORS = 65_536, 1_024  # one for each WebSocket and HTTP connection
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
NODE_BYTES = 200 * MIB  # the control plane with some thousand calls
WORKER_BYTES = 100 * MIB


async def descriptors(_settings: Settings) -> Finding:
    check = "descriptors"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    mend = "`ulimit -n 65536`, or LimitNOFILE=65536 in the unit"
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_DESCRIPTORS:
        return ok(check, "no limit" if soft == resource.RLIM_INFINITY else f"{soft}")
    if soft < LEAST_DESCRIPTORS:
        return fail(check, f"{soft}, which {soft // 2} callers use up", mend)
    return warn(check, f"{soft} (up to {hard} may be asked for): each WebSocket takes one", mend)


async def buffers(_settings: Settings) -> Finding:
    """Does the system grant the receive buffers that workers ask for?"""
    check, asked = "socket buffers", RECEIVE_BUFFER_BYTES
    try:
        granted = int(RMEM_MAX.read_text())
    except (OSError, ValueError):
        return ok(check, f"what the system grants can't be seen here; {asked >> 10} KiB are asked for")
    if granted < asked:
        mend = f"`sysctl -w net.core.rmem_max={asked}`, and the same in /etc/sysctl.d/"
        return warn(check, f"{granted >> 10} KiB of {asked >> 10}: a moment without CPU loses packets", mend)
    return ok(check, f"{asked >> 10} KiB of up to {granted >> 10}")


async def memory(settings: Settings) -> Finding:
    check, free = "memory", free_bytes()
    wanted = NODE_BYTES + settings.workers * WORKER_BYTES
    if free is None:
        return ok(check, "how much is free can't be seen here")
    found = f"{free // MIB} MiB free, for a node and {settings.workers} workers"
    if free < wanted:
        return warn(
            check, f"{found}, which take about {wanted // MIB} MiB", "set VOICEPLANE_WORKERS lower, or add memory"
        )
    return ok(check, found)


async def cores(settings: Settings) -> Finding:
    check, usable = "cores", usable_cores()
    if settings.workers > usable:
        found = f"{settings.workers} workers on {usable} cores take each other's time"
        return warn(check, found, f"set VOICEPLANE_WORKERS to {usable} or less")
    return ok(check, f"{settings.workers} workers on {usable}")


def free_bytes() -> int | None:
    """Available memory: the machine's (proc(5), meminfo), or the control group's where that is less."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return min(available, group_free_bytes() or available)
    return None


def group_free_bytes() -> int | None:
    """What is left of a container's limit (cgroup v2); None where there is no limit."""
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # "max" is no number
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    return None
