"""Ids of objects in a worker. They are ours, so that an object can listen before the worker knows it."""

from __future__ import annotations

import uuid


def new_id() -> str:
    """A UUID, RFC 9562 version 4."""
    return str(uuid.uuid4())
