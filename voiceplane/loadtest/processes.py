"""Processes by Linux' /proc: which one listens on a port, their children, and what they cost."""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LISTENING = "0A"  # TCP_LISTEN, as /proc/net/tcp spells it
ENDED = "ZX"  # zombie, dead
PROC = Path("/proc")


def listener(port: int, address: str | None = None) -> int | None:
    """The process that accepts TCP connections on this port, at one address or at whichever; None where there is none
    that we may look into."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port, address)}
    for process in PROC.iterdir():
        if process.name.isdecimal() and sockets & set(_descriptors(process)):
            return int(process.name)
    return None


def children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in (PROC / str(pid) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def is_running(pid: int) -> bool:
    """False for one that has ended, also before its parent has asked how."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ENDED


def name(pid: int) -> str:
    """The program's name, 15 characters at most; empty for a process that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (PROC / str(pid) / "comm").read_text().strip()
    return ""


def cpu_seconds(pid: int) -> float:
    """User and system time so far; 0 for a process that has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * TICK_S if fields else 0.0


def resident_bytes(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    return 0


def udp_drops(pids: Iterable[int]) -> Counter[int]:
    """How many packets found the UDP sockets of each of these processes full, because it was too slow."""
    owners = {descriptor: pid for pid in pids for descriptor in _descriptors(PROC / str(pid))}
    found = Counter[int]()
    for inode, drops in _udp_drops():
        if (owner := owners.get(f"socket:[{inode}]")) is not None:
            found[owner] += drops
    return found


def allow_open_files(count: int) -> bool:
    """Raise our limit, which processes that we start inherit, as far as needed. Returns whether that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        return False
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return True


def cpu_model() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in (PROC / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown"


def _stat(pid: int) -> list[str]:
    """What Linux says of a process from its state on (proc_pid_stat(5)); nothing of one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return []


def _listening_inodes(port: int, address: str | None) -> Iterator[str]:
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (PROC / table).read_text().splitlines()[1:]:
                fields = line.split()
                at, _, at_port = fields[1].rpartition(":")
                if fields[3] == LISTENING and int(at_port, 16) == port and (address is None or _accepts(at, address)):
                    yield fields[9]


def _accepts(at: str, address: str) -> bool:
    """Whether a socket that listens at `at`, as /proc spells it in words of the machine's byte order, is had by an
    address: it is that one, or any (all zeros)."""
    packed = ip_address(address).packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return not at.strip("0") or at == "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _udp_drops() -> Iterator[tuple[str, int]]:
    for table in ("net/udp", "net/udp6"):
        with suppress(OSError):
            for line in (PROC / table).read_text().splitlines()[1:]:
                fields = line.split()
                yield fields[9], int(fields[-1])


def _descriptors(process: Path) -> Iterator[str]:
    with suppress(OSError):  # another user's, or gone
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())
