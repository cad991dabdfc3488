"""What the writers of one database remember of the webhook endpoints between two transactions. Knows no SQL.

The set of endpoints has a version, in the row from which event numbers are drawn. Every drawing returns it. So each
transaction knows whether what is remembered is still so, at no cost; and it can't be wrong, since whoever changes an
endpoint holds that row until the commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.webhook_events import ALL, ON_REQUEST, WebhookType

OPTION = "subscriptions"  # of an engine, under which its transactions find them


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An endpoint, and what it wants. What one that is not ``enabled`` misses is stored as dead, to be replayed."""

    endpoint_id: str
    types: frozenset[WebhookType]
    enabled: bool


class Subscriptions:
    """Of one database, as one process has seen them last."""

    def __init__(self) -> None:
        self.version = -1
        self.subscribers: tuple[Subscriber, ...] = ()
        self.wanted: frozenset[WebhookType] = frozenset()
        self.wallet_low_points = 0  # a balance that falls below is told, whatever a unit costs

    def remember(self, version: int, subscribers: tuple[Subscriber, ...]) -> None:
        self.version, self.subscribers = version, subscribers
        self.wanted = frozenset().union(*(one.types for one in subscribers))


def wanted_types(asked: tuple[WebhookType, ...] | None) -> frozenset[WebhookType]:
    """What an endpoint gets: what it has asked for, or else everything that needs no asking."""
    return ALL - ON_REQUEST if asked is None else frozenset(asked)
