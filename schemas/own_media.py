"""What a party has in the room of a live call."""

from __future__ import annotations

from typing import Literal

from schemas.base import Answer
from schemas.types import Uuid
from worker_bridge.connectivity import DtlsState, IceState
from worker_bridge.rtp import MediaKind

Direction = Literal["send", "recv"]


class OwnTransport(Answer, frozen=True):
    transport_id: Uuid
    direction: Direction
    ice_state: IceState
    dtls_state: DtlsState


class OwnProducer(Answer, frozen=True):
    producer_id: Uuid
    transport_id: Uuid
    kind: MediaKind
    paused: bool


class OwnConsumer(Answer, frozen=True):
    consumer_id: Uuid
    producer_id: Uuid
    transport_id: Uuid
    paused: bool


class OwnMedia(Answer, frozen=True):
    """What the party that asks has in the room of a live call: a client that lost an answer finds its objects here."""

    transports: tuple[OwnTransport, ...]
    producers: tuple[OwnProducer, ...]
    consumers: tuple[OwnConsumer, ...]
