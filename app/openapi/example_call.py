"""The call that all examples are taken from, alice's call to hana: its ids, its times and its figures."""

from __future__ import annotations

from msgspec.structs import asdict, replace

from schemas.call import CallBody, CallDetail, CallState, EndedBy, FeedbackLine, PartyCallDetail, TimelineEntry
from schemas.live import (
    Live,
    LiveCallDetail,
    LiveCallLine,
    LiveConsumer,
    LiveParty,
    LiveProducer,
    LiveTransport,
    SegmentLine,
    SelectedTuple,
)
from schemas.quality import FlagLine, FlagType, ProtocolLine, QualityLine
from schemas.tariff import Tariff

USER, OTOMO = "alice", "hana"
NODE_ID = "one-5f0c2ab1"
CALL_ID = "call_5r9QyVx0TtqkZ1aB"
TRANSPORT_ID = "ed1d0d28-876c-4fe9-86a2-bcb432eb7727"
PRODUCER_ID = "9440e749-fa60-434d-8607-442f22d03800"
CONSUMER_ID = "3d0b486b-6a20-47f8-841a-2bfe4fecf40a"
MATCHED_AT = "2026-01-31T12:00:04.210Z"
CONNECTED_AT = "2026-01-31T12:00:05.003Z"
CHARGED_AT = "2026-01-31T12:01:05.003Z"
ENDED_AT = "2026-01-31T12:01:20.481Z"

TARIFF = Tariff(unit_seconds=60, unit_points=100, max_seconds=14_400)
ENDED = CallBody(
    call_id=CALL_ID,
    user_id=USER,
    otomo_id=OTOMO,
    state=CallState.ENDED,
    price_per_minute=100,
    created_at="2026-01-31T12:00:00.000Z",
    accepted_at=MATCHED_AT,
    connected_at=CONNECTED_AT,
    ended_at=ENDED_AT,
    end_reason="manual",
    duration_seconds=75,
    billed_units=1,
    billed_points=100,
    metadata={"campaign": "spring"},
    refunded_points=0,
)
TALKING = replace(
    ENDED,
    state=CallState.TALKING,
    ended_at=None,
    end_reason=None,
    duration_seconds=None,
    billed_units=0,
    billed_points=0,
)
HEARD = QualityLine(
    speaker=USER,
    speaker_role="user",
    listener=OTOMO,
    mos=4.31,
    r_factor=88.9,
    loss_percent=0.46,
    jitter_ms=3.1,
    round_trip_ms=84.0,
)
STANDING = FlagLine(FlagType.DEAD_MICROPHONE, OTOMO, "otomo", "2026-01-31T12:00:31.002Z", until=None)
PLEASED = FeedbackLine(user_id=USER, role="user", score=5, tags=("sound",), comment="", at="2026-01-31T12:03:00.000Z")
ENDED_DETAIL = CallDetail(
    **asdict(ENDED),
    media_epoch=1,
    tariff=TARIFF,
    max_seconds=14_400,
    timeline=(
        TimelineEntry(at="2026-01-31T12:00:00.000Z", type="ringing", cause="request"),
        TimelineEntry(at=MATCHED_AT, type="matched", cause="accepted by hana"),
        TimelineEntry(at=CONNECTED_AT, type="talking", cause="first RTP of alice"),
        TimelineEntry(at=CHARGED_AT, type="unit", index=1, points=100),
        TimelineEntry(at=ENDED_AT, type="ended", cause="ended by alice"),
    ),
    ended_by=EndedBy.USER,
    billed_seconds=60,
    worker=0,
    mos=4.31,
    quality=(HEARD,),
    flags=(replace(STANDING, until="2026-01-31T12:00:44.870Z"),),
    transports=(ProtocolLine(USER, "user", "udp"), ProtocolLine(OTOMO, "otomo", "tcp")),
    feedback=(PLEASED,),
)
PARTYS_DETAIL = PartyCallDetail(**asdict(ENDED_DETAIL))
LIVE_LINE = LiveCallLine(**asdict(TALKING), node=NODE_ID, worker=0, talk_seconds=42, flags=(STANDING,), mos=4.31)
ALICE_NOW = LiveParty(
    user_id=USER,
    role="user",
    sockets=1,
    last_rtp_at="2026-01-31T12:00:47.213Z",
    transports=(
        LiveTransport(
            transport_id=TRANSPORT_ID,
            direction="send",
            ice_state="completed",
            dtls_state="connected",
            selected_tuple=SelectedTuple("udp", "192.0.2.10", 40000, "203.0.113.7", 51824),
            bytes_received=287410,
            bytes_sent=3126,
        ),
    ),
    producers=(
        LiveProducer(
            producer_id=PRODUCER_ID,
            kind="audio",
            paused=False,
            packets=2113,
            bytes=271908,
            bitrate=51984,
            packets_lost=4,
            loss_percent=0.19,
            jitter_ms=2.4,
            round_trip_ms=None,
            score=10,
            last_rtp_at="2026-01-31T12:00:47.213Z",
            level=-31,
        ),
    ),
    consumers=(
        LiveConsumer(
            consumer_id=CONSUMER_ID,
            producer_id="5e1c6b0e-8f5e-4a53-8f3c-6a5c4f7f6a11",
            paused=False,
            packets=2098,
            bitrate=50112,
            packets_lost=9,
            loss_percent=0.43,
            jitter_ms=3.1,
            round_trip_ms=42.7,
            score=10,
        ),
    ),
)
LIVE_DETAIL = LiveCallDetail(
    **asdict(TALKING),
    media_epoch=1,
    tariff=TARIFF,
    max_seconds=14_400,
    segments=(
        SegmentLine(media_epoch=1, node=NODE_ID, worker=0, began_at=MATCHED_AT, talked_before_seconds=0, reason=None),
    ),
    timeline=(TimelineEntry(at=CONNECTED_AT, type="talking", cause="RTP of alice"),),
    worker=0,
    mos=4.31,
    quality=(HEARD,),
    flags=(STANDING,),
    live=Live(0, (ALICE_NOW,)),
)
