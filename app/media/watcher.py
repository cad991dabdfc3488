"""Who is told what happens in a room: the one that owns it. Knows no call."""

from __future__ import annotations

from typing import Literal, Protocol

from app.clock import Moment
from app.person import PartyRole
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason

ProducerChange = Literal["producer_added", "producer_removed", "producer_paused", "producer_resumed"]
PauseReason = Literal["flood"]
"""Why the node paused a producer, where its party has not."""


class RoomWatcher(Protocol):
    """Who is told what happens in a room, after it happened. Must be quick and raise nothing."""

    def set_up(self) -> None:
        """There is one more transport."""

    def producer_changed(
        self, change: ProducerChange, party: PartyRole, producer: Producer, reason: PauseReason | None
    ) -> None: ...

    def first_packet(self, party: PartyRole, producer: Producer, at: Moment) -> None:
        """The worker received a producer's first packet."""

    def closed(self, reason: CloseReason) -> None:
        """The router closed, whoever closed it. Nothing more will be told."""
