"""Which program has a port. Reads /proc; to see whether a port is free, binds it for a moment without listening."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

from worker_bridge.connectivity import Protocol

KINDS: Final = get_args(Protocol)

TCP_LISTEN = "0A"  # include/net/tcp_states.h
WORKER = "mediasoup-worke"  # the kernel keeps 15 characters of a program's name
UNKNOWN = "another process"


def bind_error(kind: Protocol, address: str, port: int) -> OSError | None:
    """Why a socket can't be bound there, or None where it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has addresses of its own
            if kind == "tcp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a node that just ended
            probe.bind((address, port))
    except OSError as error:
        return error
    return None


def reason(error: OSError) -> str:
    """The system's reason: event loops put sentences of their own into strerror; unresolved names have no errno."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def is_busy(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def holder(kind: Protocol, port: int) -> str:
    """The program that has the port, as far as this user may know."""
    for inode in inodes(kind, port):
        for process in Path("/proc").glob("[0-9]*"):
            if holds(process, inode):
                return f"{name_of(process)} (pid {process.name})"
    return UNKNOWN


def inodes(kind: Protocol, port: int) -> Iterator[str]:
    """Of sockets that are bound to the port, listening where they are TCP: columns 2, 4 and 10 of proc(5)'s net/*."""
    for table in (Path(f"/proc/net/{kind}"), Path(f"/proc/net/{kind}6")):
        with suppress(OSError):  # a kernel without IPv6
            for row in table.read_text().splitlines()[1:]:
                columns = row.split()
                is_open = kind == "udp" or columns[3] == TCP_LISTEN
                if is_open and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]


def holds(process: Path, inode: str) -> bool:
    with suppress(OSError):  # it has ended, or is another user's
        return any(str(entry.readlink()) == f"socket:[{inode}]" for entry in (process / "fd").iterdir())
    return False


def name_of(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text().strip()
    return "a process"
