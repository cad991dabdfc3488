"""Ids that say which node gave them: any node knows where to ask for what it has not got itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from worker_bridge.ids import uuids


def numbered_ids(number: Callable[[], int]) -> Iterator[str]:
    """UUIDs (RFC 9562 version 4) that begin with a node's number of the moment, in 16 bits."""
    return (prefix_of(number()) + one[4:] for one in uuids())


def prefix_of(number: int) -> str:
    return f"{number:04x}"


def number_of(object_id: str) -> int:
    """The number with which an id begins; -1 where it is no id."""
    try:
        return int(object_id[:4], 16)
    except ValueError:
        return -1
