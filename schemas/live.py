"""Bodies about live calls, for admins: the list, and one call with everything that its worker knows of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from schemas.base import Answer
from schemas.call import CallBody, CallDetail, MoveReason
from schemas.own_media import Direction
from schemas.quality import FlagLine
from schemas.types import Count, Cursor, Measure, Mos, Name, PartyRole, Points, Text, Timestamp, Uuid
from worker_bridge.connectivity import DtlsState, IceState, Protocol
from worker_bridge.rtp import MediaKind

Level = Annotated[float, Meta(ge=-127)]
"""A level in dBov: -127 is no sound, 0 the loudest (RFC 6464 §3)."""


class LiveCallLine(CallBody, frozen=True, kw_only=True):
    """A live call. ``worker`` is null before it is matched, ``mos`` before the first measurement; ``flags`` are the
    present ones. Of a call whose ``node`` has not answered, only what is stored is known."""

    node: Name
    worker: Count | None
    talk_seconds: Count
    flags: tuple[FlagLine, ...]
    mos: Mos | None


class LiveCallList(Answer, frozen=True):
    """``unanswered`` are nodes that have not answered within a second."""

    calls: tuple[LiveCallLine, ...]
    next_cursor: Cursor | None
    unanswered: tuple[Name, ...] = ()


class SelectedTuple(Answer, frozen=True):
    """The pair of addresses that ICE has selected."""

    protocol: Protocol
    local_address: Text
    local_port: Count
    remote_address: Text | None
    remote_port: Count | None


class LiveTransport(Answer, frozen=True, kw_only=True):
    transport_id: Uuid
    direction: Direction
    ice_state: IceState
    dtls_state: DtlsState
    selected_tuple: SelectedTuple | None
    bytes_received: Points | None
    bytes_sent: Points | None


class LiveProducer(Answer, frozen=True, kw_only=True):
    """What a party sends, as the worker receives it. ``level`` is the average of 5 s."""

    producer_id: Uuid
    kind: MediaKind
    paused: bool
    packets: Points | None
    bytes: Points | None
    bitrate: Points | None
    packets_lost: Points | None
    loss_percent: Measure | None
    jitter_ms: Measure | None
    round_trip_ms: Measure | None
    score: Count | None
    last_rtp_at: Timestamp | None
    level: Level | None


class LiveConsumer(Answer, frozen=True, kw_only=True):
    """What a party is sent, and its loss by the party's own reports."""

    consumer_id: Uuid
    producer_id: Uuid
    paused: bool
    packets: Points | None
    bitrate: Points | None
    packets_lost: Points | None
    loss_percent: Measure | None
    jitter_ms: Measure | None
    round_trip_ms: Measure | None
    score: Count | None


class LiveParty(Answer, frozen=True, kw_only=True):
    """One of the two parties. ``sockets`` is how many WebSockets it has open."""

    user_id: Name
    role: PartyRole
    sockets: Count
    last_rtp_at: Timestamp | None
    transports: tuple[LiveTransport, ...]
    producers: tuple[LiveProducer, ...]
    consumers: tuple[LiveConsumer, ...]


class Live(Answer, frozen=True):
    """The present state of a call. What the worker did not answer within a second is null."""

    worker: Count | None
    parties: tuple[LiveParty, ...]


class SegmentLine(Answer, frozen=True, kw_only=True):
    """One of the rooms that a call has had; the first has no ``reason``. ``talked_before_seconds``: talked before
    it."""

    media_epoch: Count
    node: Name
    worker: Count
    began_at: Timestamp
    talked_before_seconds: Count
    reason: MoveReason | None


class LiveCallDetail(CallDetail, frozen=True, kw_only=True):
    """A call as its parties see it, its rooms and its present state; ``live`` is null once it has ended."""

    segments: tuple[SegmentLine, ...] = ()

    live: Live | None = None
