"""The interface by which a room tells its owner what happens. Knows no call."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from app.clock import Moment
from app.media.offers import Offer
from schemas.signaling import PauseReason, ProducerChange
from schemas.types import PartyRole
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason


class RoomWatcher(Protocol):
    """Is told what has happened in a room. Must be quick and raise nothing."""

    def set_up(self) -> None:
        """A transport was opened."""

    def producer_changed(
        self, change: ProducerChange, party: PartyRole, producer: Producer, reason: PauseReason | None
    ) -> None: ...

    def offer_changed(self, change: ProducerChange, offer: Offer, told: Collection[PartyRole]) -> None:
        """Parties may hear something of nobody's, or can't any more."""

    def first_packet(self, party: PartyRole, producer: Producer, at: Moment) -> None:
        """The worker received a producer's first packet."""

    def closed(self, reason: CloseReason) -> None:
        """The router has closed. Nothing more will be told."""
