"""Ids that say which node gave them: any node knows where to ask for what it has not got itself."""

from __future__ import annotations

import uuid


def numbered_id(number: int) -> str:
    """A UUID (RFC 9562 version 4) that begins with a node's number, in 16 bits."""
    return f"{number:04x}{str(uuid.uuid4())[4:]}"


def number_of(object_id: str) -> int:
    """The number with which an id begins; -1 where it is no id."""
    try:
        return int(object_id[:4], 16)
    except ValueError:
        return -1
