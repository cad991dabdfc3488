"""What an object tells, written down."""

from __future__ import annotations

from typing import Any

from worker_bridge.observable import Observable


def recorded(teller: Observable, *events: str) -> list[Any]:
    """Grows with each of these events: by its name, or by (name, value) where it has one."""
    told: list[Any] = []

    def recorder(event: str) -> Any:
        return lambda *value: told.append((event, *value) if value else event)

    for event in events:
        teller.events.on(event, recorder(event))
    return told
