"""A process that runs out of descriptors."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

IN_USE = 5  # the lowest descriptors: a worker never closes its standard streams and its two pipes


@contextmanager
def without_sockets(pid: int) -> Iterator[None]:
    """A worker that can open nothing more; what is open stays so. A limit is on a new descriptor's number."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (IN_USE, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
