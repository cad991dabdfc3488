"""Who is told what happens in a room: the one that owns it. Knows no call."""

from __future__ import annotations

from typing import Protocol

from app.clock import Moment
from schemas.signaling import PauseReason, ProducerChange
from schemas.types import PartyRole
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason


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
