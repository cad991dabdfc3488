"""One example of every body, made of the Struct that declares it: alice calls hana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import asdict

from app.media.codecs import capabilities_of
from app.openapi.example_announcing import ANNOUNCING
from app.openapi.example_call import (
    CALL_ID,
    CHARGED_AT,
    CONNECTED_AT,
    CONSUMER_ID,
    ENDED,
    ENDED_AT,
    LIVE_DETAIL,
    LIVE_LINE,
    MATCHED_AT,
    NODE_ID,
    OTOMO,
    PARTYS_DETAIL,
    PLEASED,
    PRODUCER_ID,
    TARIFF,
    TRANSPORT_ID,
    USER,
)
from app.openapi.example_recording import RECORDINGS
from schemas.admin import RecoveredCall, RecoveryLog
from schemas.audit import AuditLine, AuditList
from schemas.base import Answer, Body, dump, encode
from schemas.call import (
    AdminCallRequest,
    BilledUnit,
    Billing,
    CallAck,
    CallList,
    CallRequest,
    CallState,
    Extended,
    ExtendRequest,
    FeedbackRequest,
    ReasonBody,
    RefundedPart,
)
from schemas.consumer import Capabilities, ConsumerCreated, ConsumeRequest, Paused, Resumed
from schemas.demo import DemoSession, DemoSessionRequest
from schemas.health import Alive, Check, Ready
from schemas.live import LiveCallList
from schemas.node import (
    Drained,
    DrainRequest,
    NodeLine,
    Nodes,
    PacketRates,
    ProbeResult,
    RequestTimes,
    Sample,
    SampleSeries,
    WorkerLine,
    Workers,
)
from schemas.people import (
    BanRequest,
    BlockLine,
    BlockList,
    BlockState,
    ListedOtomo,
    OtomoPage,
    PersonState,
    StatusRequest,
    StatusSet,
)
from schemas.problem import Problem
from schemas.producer import ListedProducer, ProducerCreated, ProduceRequest, ProducerList
from schemas.stats import StreamStatistics, StreamStats, TransportStatistics, TransportStats, TupleStats
from schemas.supervision import (
    SuperviseRequest,
    SupervisionBody,
    SupervisionChange,
    SupervisionEnded,
    SupervisionList,
)
from schemas.transport import (
    Closed,
    ConnectTransportRequest,
    CreateTransportRequest,
    IceRestarted,
    PreflightOpened,
    Released,
    RoomCleaned,
    TransportConnected,
    TransportCreated,
)
from schemas.wallet import (
    AdjustRequest,
    Balance,
    LotLine,
    OutstandingLine,
    OutstandingPoints,
    OwnBalance,
    PointsByDay,
    PointsDay,
    Rate,
    RateRequest,
    RefundDone,
    RefundRequest,
    Usage,
    UsageLine,
    WalletDetail,
)
from schemas.webhook import (
    DeliveryBody,
    DeliveryLine,
    DeliveryList,
    Replayed,
    ReplayRequest,
    WebhookBody,
    WebhookChange,
    WebhookCreated,
    WebhookDeleted,
    WebhookList,
    WebhookRequest,
)
from schemas.webhook_events import AcceptedNotice, Message
from worker_bridge.capabilities import MID
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceParameters
from worker_bridge.rtp import (
    RtcpFeedback,
    RtcpParameters,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
    parameters,
)

PROBLEM: Final = Problem("rtpParameters.codecs.0.payloadType", "must be 0 to 127")
"""A problem in a body that is refused."""

_ICE = IceParameters("2qwwnlrn7yoqe5fafjx646p40afvzfmr", "0c2fuax8orlsx7shbsikewarqipzb16d")
_CAPABILITIES = Capabilities(capabilities_of({"audio"}))
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vLXVzZXItNzNlZTI0ZjIxZCJ9.c2lnbmF0dXJl"
_PROBE = ProbeResult(ok=True, ms=0.31, at="2026-01-31T12:00:00.000Z")

_WEBHOOK = WebhookBody(
    webhook_id="we_5f1c0b7a9d3e4c2b8a6f7e1d",
    url="https://backend.example/voice",
    events=("call.ringing", "call.ended"),
    description="the back end",
    enabled=True,
    disabled_reason=None,
    disabled_at=None,
    failing_since=None,
    from_settings=False,
    created_at="2026-01-30T08:00:00.000Z",
)
_DELIVERY = DeliveryLine(
    delivery_id="msg_2c9a5e0b1f7d4386a1c0b9e8d7f65432",
    webhook_id="we_5f1c0b7a9d3e4c2b8a6f7e1d",
    type="call.accepted",
    call_id=CALL_ID,
    status="delivered",
    attempts=1,
    created_at=MATCHED_AT,
    next_attempt_at=None,
    last_attempt_at=MATCHED_AT,
    took_ms=41,
    answer_status=204,
    answer="",
)
_ACCEPTED = AcceptedNotice(call_id=CALL_ID, user_id=USER, otomo_id=OTOMO, metadata={}, accepted_at=MATCHED_AT)
_MESSAGE = encode(Message("call.accepted", MATCHED_AT, Raw(encode(_ACCEPTED)))).decode()


def _dtls(role: DtlsRole) -> DtlsParameters:
    digest = "73:4C:08:57:F1:A4:DD:6F:4B:48:C0:8F:47:BD:6F:B8:2A:40:3B:E0:D5:6C:B9:C1:B7:27:61:6C:9C:F3:F0:DA"
    return DtlsParameters((DtlsFingerprint("sha-256", digest),), role)


def _opus(payload_type: int, mid_id: int, ssrc: int, *feedback: RtcpFeedback) -> RtpParameters:
    """A voice, as it is sent or heard."""
    codec = RtpCodecParameters(
        mime_type="audio/opus",
        payload_type=payload_type,
        clock_rate=48000,
        channels=2,
        parameters=parameters(minptime=10, useinbandfec=1),
        rtcp_feedback=feedback,
    )
    return RtpParameters(
        codecs=(codec,),
        header_extensions=(RtpHeaderExtensionParameters(uri=MID, id=mid_id),),
        encodings=(RtpEncodingParameters(ssrc=ssrc, dtx=True),),
        rtcp=RtcpParameters(cname="xkTiFVx5Ee0fMbRX"),
        mid="0",
    )


LOT = LotLine(
    kind="bonus", remaining=30, points=50, expires_at="2026-03-31T15:00:00.000Z", created_at="2026-01-01T00:00:00.000Z"
)
REST = LotLine(kind="paid", remaining=370, points=None, expires_at=None, created_at=None)
_SUPERVISION: Final = SupervisionBody(
    supervision_id="9c1185a5c5e9fc54612808977ee8f548",
    call_id=CALL_ID,
    admin_id="root",
    mode="whisper",
    to="otomo",
    since=CHARGED_AT,
)
_EXAMPLES: Final[tuple[Body | Answer, ...]] = (
    _CAPABILITIES,
    CreateTransportRequest(CALL_ID, "send"),
    TransportCreated(
        transport_id=TRANSPORT_ID,
        ice_parameters=_ICE,
        ice_candidates=(IceCandidate("udpcandidate", 1076558079, "203.0.113.7", "udp", 40000),),
        dtls_parameters=_dtls("auto"),
        media_epoch=1,
    ),
    ConnectTransportRequest(_dtls("client")),
    TransportConnected(),
    IceRestarted(_ICE),
    ProduceRequest(CALL_ID, TRANSPORT_ID, "audio", _opus(111, 4, 1724105310, RtcpFeedback("transport-cc"))),
    ProducerCreated(PRODUCER_ID),
    ProducerList((ListedProducer(PRODUCER_ID, USER, "user", "audio", paused=False),)),
    ConsumeRequest(CALL_ID, TRANSPORT_ID, PRODUCER_ID, _CAPABILITIES.rtp_capabilities),
    ConsumerCreated(CONSUMER_ID, PRODUCER_ID, "audio", _opus(100, 1, 355219310), producer_paused=False),
    Paused(),
    Resumed(),
    Closed(),
    PreflightOpened("preflight_0001a7b0-6e7d-4c0b-9b0a-0f4d9d6a7c11", "2026-01-31T12:00:30.000Z"),
    RoomCleaned(Released(transports=4, producers=2, consumers=2)),
    TransportStatistics(
        (
            TransportStats(
                type="webrtc-transport",
                timestamp=866644,
                transport_id=TRANSPORT_ID,
                ice_role="controlled",
                ice_state="completed",
                ice_selected_tuple=TupleStats(
                    protocol="udp",
                    local_address="192.0.2.10",
                    local_port=40000,
                    remote_ip="203.0.113.7",
                    remote_port=51824,
                ),
                dtls_state="connected",
                bytes_received=287410,
                recv_bitrate=34112,
                bytes_sent=3126,
                send_bitrate=560,
            ),
        )
    ),
    StreamStatistics(
        (
            StreamStats(
                type="inbound-rtp",
                timestamp=866644,
                ssrc=1724105310,
                kind="audio",
                mime_type="audio/opus",
                packet_count=251,
                byte_count=20331,
                bitrate=32400,
                packets_lost=0,
                fraction_lost=0,
                jitter=2,
                score=10,
            ),
        )
    ),
    CallRequest(OTOMO, metadata={"campaign": "spring"}),
    FeedbackRequest(5, ("sound",)),
    PLEASED,
    ReasonBody("お先に失礼します"),
    CallAck(CALL_ID, CallState.MATCHED),
    CallList((ENDED,), None),
    PARTYS_DETAIL,
    LiveCallList((LIVE_LINE,), None),
    LIVE_DETAIL,
    Billing(
        CALL_ID, (BilledUnit(1, 100, CHARGED_AT, 70, 30),), 100, 50, (RefundedPart(50, None, "bad line", ENDED_AT),)
    ),
    DemoSessionRequest("user"),
    DemoSession(
        token=_JWT,
        expires_at="2026-01-31T13:00:00.000Z",
        pair="73ee24f21d",
        user_id="demo-user-73ee24f21d",
        otomo_id="demo-otomo-73ee24f21d",
        otomo_status="online",
        seq=4711,
        price_per_minute=100,
        unit_seconds=60,
        balance=1000,
    ),
    StatusRequest("away"),
    StatusSet("away"),
    OtomoPage((ListedOtomo(OTOMO, "online"),), None),
    BlockState("user", USER, blocked=True),
    BlockList((BlockLine("user", USER, CHARGED_AT),)),
    BanRequest("spam", "2027-01-31T12:00:00.000Z"),
    PersonState(
        role="user",
        user_id=USER,
        banned=True,
        banned_until="2027-01-31T12:00:00.000Z",
        ban_reason="spam",
        revoked_at=None,
    ),
    AuditList(
        (
            AuditLine(
                audit_id="0d1c2b3a4958674635241302f1e0d9c8",
                at=ENDED_AT,
                admin_id="root",
                action="call.refund",
                call_id=CALL_ID,
                role=None,
                user_id=None,
                subject=None,
                reason="bad line",
                details={"points": "50"},
            ),
        ),
        None,
    ),
    SuperviseRequest("whisper", "a new otomo", "otomo"),
    SupervisionChange("listen"),
    _SUPERVISION,
    SupervisionList(True, (_SUPERVISION,)),
    SupervisionEnded(),
    Balance(USER, 400, CHARGED_AT),
    OwnBalance(USER, 400, CHARGED_AT, 370, 30),
    WalletDetail(USER, 400, CHARGED_AT, 370, 30, (LOT, REST)),
    OutstandingPoints(ENDED_AT, 370, 30, (OutstandingLine("bonus", "2026-03", 30), OutstandingLine("paid", None, 370))),
    PointsByDay(
        ENDED_AT,
        (
            PointsDay(
                day="2026-01-31",
                charged_points=100,
                refunded_points=50,
                added_points=500,
                removed_points=0,
                expired_points=0,
                outstanding_points=450,
            ),
        ),
    ),
    Usage(
        (
            UsageLine(
                call_id=CALL_ID,
                otomo_id=OTOMO,
                connected_at=CONNECTED_AT,
                ended_at=ENDED_AT,
                duration_seconds=75,
                billed_units=1,
                billed_points=100,
                refunded_points=50,
            ),
        ),
        None,
    ),
    AdminCallRequest(USER, OTOMO, price_per_minute=100),
    AdjustRequest(500, "order 17", "order-17", expires_at="2027-01-31T00:00:00.000Z"),
    RefundRequest("bad line", "complaint-3", points=50),
    RefundDone(
        call_id=CALL_ID,
        user_id=USER,
        points=50,
        refunded_points=50,
        balance=450,
        refunded_at="2026-01-31T12:30:00.000Z",
    ),
    ExtendRequest(600),
    Extended(CALL_ID, 15_000),
    RateRequest(120),
    Rate(OTOMO, 100, TARIFF),
    WebhookRequest("https://backend.example/voice", ("call.ringing", "call.ended"), "the back end"),
    WebhookChange(enabled=True),
    _WEBHOOK,
    WebhookCreated(**asdict(_WEBHOOK), secret="whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),  # noqa: S106
    WebhookList((_WEBHOOK,)),
    WebhookDeleted(),
    ReplayRequest(since="2026-01-31T00:00:00.000Z", until="2026-01-31T23:59:59.999Z"),
    Replayed(318),
    DeliveryList((_DELIVERY,), None),
    DeliveryBody(**asdict(_DELIVERY), body=_MESSAGE),
    DrainRequest("wait", 300),
    Drained(draining=True, mode="wait", deadline_at="2026-01-31T12:05:00.000Z", live_calls=12),
    RecoveryLog(
        (
            RecoveredCall(
                call_id=CALL_ID,
                recovered_at="2026-01-31T12:02:00.000Z",
                state=CallState.TALKING,
                ended_at=ENDED_AT,
                duration_seconds=75,
                billed_units=1,
                billed_points=100,
            ),
        )
    ),
    Workers(
        stress=0.31,
        workers=(
            WorkerLine(
                index=0,
                state="up",
                version="3.27.1",
                restarts=0,
                failure=None,
                node=NODE_ID,
                probe=_PROBE,
                pid=4211,
                uptime_seconds=86400,
                cpu_percent=27.9,
                cpu_seconds=19021.4,
                memory_bytes=61_440_000,
                routers=80,
                transports=320,
                producers=160,
                consumers=160,
                stress=0.31,
                packets_per_second=PacketRates(received=8000.0, forwarded=7950.0),
                requests=RequestTimes(pending=0, p50_ms=0.42, p99_ms=3.1),
            ),
        ),
    ),
    Nodes(
        answered_by=NODE_ID,
        nodes=(
            NodeLine(
                node_id=NODE_ID,
                name="one",
                number=1,
                address="http://10.0.0.11:8081",
                version="0.1.0",
                state="up",
                beat_age_ms=140,
                steady_seconds=86400,
                stress=0.31,
                live_calls=83,
            ),
        ),
    ),
    SampleSeries(
        step_seconds=5,
        node=NODE_ID,
        samples=(
            Sample(
                at="2026-01-31T12:00:00.000Z",
                calls=83,
                talking=80,
                stress=0.31,
                loop_lag_ms=2.4,
                worker_cpu_percent=27.9,
                node_cpu_percent=9.3,
                packets_in=8000.0,
                packets_out=7950.0,
                loss_percent=0.02,
                http_requests=14.2,
                http_p95_ms=6.1,
                sockets=166,
            ),
        ),
    ),
    *ANNOUNCING,
    *RECORDINGS,
    Alive(1.2),
    Ready(
        status="ready",
        stress=0.31,
        checks=(
            Check("database", ok=True, ms=0.4),
            Check("database_writer", ok=True, ms=0.6),
            Check("ports", ok=True, ms=0.1),
            Check("draining", ok=True, ms=0.0),
            Check("stress", ok=True, ms=0.0),
            Check("worker 0", ok=True, ms=0.7, restarts=0, probe=_PROBE),
        ),
    ),
)
EXAMPLES: Final[Mapping[type[Body | Answer], Any]] = {type(one): dump(one) for one in _EXAMPLES}
"""By their Structs, as JSON values."""
