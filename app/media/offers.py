"""What parties hear in a room besides one another: announcements, music, a supervisor. It belongs to no party, so that
nobody's clock, quality or flags know of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.signaling import ProducerSource
from schemas.types import PartyRole
from worker_bridge.producer import Producer


@dataclass(slots=True, eq=False)
class Offer:
    """A producer of no party's, which those in ``to`` may consume."""

    producer: Producer
    source: ProducerSource
    to: frozenset[PartyRole]
