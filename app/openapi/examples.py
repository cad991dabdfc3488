"""One example of every body: alice calls hana. Each is checked against its schema by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.media.codecs import capabilities_of
from app.openapi.example_call import (
    ALICE_NOW,
    CALL_ID,
    CONSUMER_ID,
    OTOMO,
    PRODUCER_ID,
    RECORD,
    STANDING,
    TRANSPORT_ID,
    USER,
)
from schemas.admin import RecoveryLog
from schemas.base import Answer, Body, dump
from schemas.call import (
    AdminCallRequest,
    Billing,
    CallAck,
    CallList,
    CallRequest,
    PartyCallDetail,
    ReasonBody,
)
from schemas.consumer import (
    Capabilities,
    ConsumerCreated,
    ConsumeRequest,
    Paused,
    Resumed,
)
from schemas.demo import DemoSession, DemoSessionRequest
from schemas.health import Alive, Ready
from schemas.live import LiveCallDetail, LiveCallList
from schemas.node import Drained, DrainRequest, SampleSeries, Workers
from schemas.producer import ProducerCreated, ProduceRequest, ProducerList
from schemas.stats import Statistics
from schemas.transport import (
    Closed,
    ConnectTransportRequest,
    CreateTransportRequest,
    IceRestarted,
    RoomCleaned,
    TransportConnected,
    TransportCreated,
)
from schemas.wallet import AdjustRequest, Balance, Rate, RateRequest, Usage

Json = dict[str, Any]

PROBLEM: Final = {"path": "rtpParameters.codecs.0.payloadType", "problem": "must be 0 to 127"}
"""Of a body that is refused."""

_FINGERPRINT = {
    "algorithm": "sha-256",
    "value": "73:4C:08:57:F1:A4:DD:6F:4B:48:C0:8F:47:BD:6F:B8:2A:40:3B:E0:D5:6C:B9:C1:B7:27:61:6C:9C:F3:F0:DA",
}
_ICE = {
    "usernameFragment": "2qwwnlrn7yoqe5fafjx646p40afvzfmr",
    "password": "0c2fuax8orlsx7shbsikewarqipzb16d",
    "iceLite": True,
}
_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_SENT = {
    "mid": "0",
    "codecs": [
        {
            "mimeType": "audio/opus",
            "payloadType": 111,
            "clockRate": 48000,
            "channels": 2,
            "parameters": {"minptime": 10, "useinbandfec": 1},
            "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}],
        }
    ],
    "headerExtensions": [{"uri": _MID, "id": 4, "encrypt": False, "parameters": {}}],
    "encodings": [{"ssrc": 1724105310, "dtx": True}],
    "rtcp": {"cname": "xkTiFVx5Ee0fMbRX", "reducedSize": True},
}
_HEARD = {
    "mid": "0",
    "codecs": [
        {
            "mimeType": "audio/opus",
            "payloadType": 100,
            "clockRate": 48000,
            "channels": 2,
            "parameters": {"minptime": 10, "useinbandfec": 1},
            "rtcpFeedback": [],
        }
    ],
    "headerExtensions": [{"uri": _MID, "id": 1, "encrypt": False, "parameters": {}}],
    "encodings": [{"ssrc": 355219310, "dtx": True}],
    "rtcp": {"cname": "xkTiFVx5Ee0fMbRX", "reducedSize": True},
}
_CAPABILITIES = dump(Capabilities(capabilities_of({"audio"})))
_CALL = {
    "callId": CALL_ID,
    "userId": USER,
    "otomoId": OTOMO,
    "state": "ended",
    "pricePerMinute": 100,
    "createdAt": "2026-01-31T12:00:00.000Z",
    "acceptedAt": "2026-01-31T12:00:04.210Z",
    "connectedAt": "2026-01-31T12:00:05.003Z",
    "endedAt": "2026-01-31T12:01:20.481Z",
    "endReason": "manual",
    "durationSeconds": 75,
    "billedUnits": 1,
    "billedPoints": 100,
}
_LIVE_CALL = _CALL | {
    "state": "talking",
    "endedAt": None,
    "endReason": None,
    "durationSeconds": None,
    "billedUnits": 0,
    "billedPoints": 0,
}
_USAGE = ("callId", "otomoId", "connectedAt", "endedAt", "durationSeconds", "billedUnits", "billedPoints")

EXAMPLES: Final[Mapping[type[Body | Answer], Json]] = {
    Capabilities: _CAPABILITIES,
    CreateTransportRequest: {"callId": CALL_ID, "direction": "send"},
    TransportCreated: {
        "transportId": TRANSPORT_ID,
        "iceParameters": _ICE,
        "iceCandidates": [
            {
                "foundation": "udpcandidate",
                "priority": 1076558079,
                "ip": "203.0.113.7",
                "address": "203.0.113.7",
                "protocol": "udp",
                "port": 40000,
                "type": "host",
            }
        ],
        "dtlsParameters": {"role": "auto", "fingerprints": [_FINGERPRINT]},
    },
    ConnectTransportRequest: {"dtlsParameters": {"role": "client", "fingerprints": [_FINGERPRINT]}},
    TransportConnected: {"connected": True},
    IceRestarted: {"iceParameters": _ICE},
    ProduceRequest: {
        "callId": CALL_ID,
        "transportId": TRANSPORT_ID,
        "kind": "audio",
        "rtpParameters": _SENT,
    },
    ProducerCreated: {"producerId": PRODUCER_ID},
    ProducerList: {
        "producers": [{"producerId": PRODUCER_ID, "userId": USER, "role": "user", "kind": "audio", "paused": False}]
    },
    ConsumeRequest: {
        "callId": CALL_ID,
        "transportId": TRANSPORT_ID,
        "producerId": PRODUCER_ID,
        "rtpCapabilities": _CAPABILITIES["rtpCapabilities"],
    },
    ConsumerCreated: {
        "consumerId": CONSUMER_ID,
        "producerId": PRODUCER_ID,
        "kind": "audio",
        "rtpParameters": _HEARD,
        "producerPaused": False,
    },
    Paused: {"paused": True},
    Resumed: {"resumed": True},
    Closed: {"closed": True},
    RoomCleaned: {"cleaned": True, "released": {"transports": 4, "producers": 2, "consumers": 2}},
    Statistics: {
        "stats": [
            {
                "type": "inbound-rtp",
                "timestamp": 866644,
                "ssrc": 1724105310,
                "kind": "audio",
                "mimeType": "audio/opus",
                "packetCount": 251,
                "byteCount": 20331,
                "bitrate": 32400,
                "packetsLost": 0,
                "fractionLost": 0,
                "jitter": 2,
                "score": 10,
            }
        ]
    },
    CallRequest: {"otomoId": OTOMO},
    ReasonBody: {"reason": "お先に失礼します"},
    CallAck: {"callId": CALL_ID, "state": "matched"},
    CallList: {"calls": [_CALL], "nextCursor": None},
    PartyCallDetail: _CALL
    | {
        "timeline": [
            {"at": "2026-01-31T12:00:00.000Z", "type": "ringing", "cause": "request"},
            {"at": "2026-01-31T12:00:04.210Z", "type": "matched", "cause": "accepted by hana"},
            {"at": "2026-01-31T12:00:05.003Z", "type": "talking", "cause": "first RTP of alice"},
            {"at": "2026-01-31T12:01:05.003Z", "type": "unit", "index": 1, "points": 100},
            {"at": "2026-01-31T12:01:20.481Z", "type": "ended", "cause": "ended by alice"},
        ],
        "media": None,
    }
    | RECORD,
    LiveCallList: {
        "calls": [_LIVE_CALL | {"worker": 0, "talkSeconds": 42, "flags": [STANDING], "mos": 4.31}],
        "nextCursor": None,
    },
    LiveCallDetail: _LIVE_CALL
    | RECORD
    | {
        "endedBy": None,
        "billedSeconds": None,
        "transports": [],
        "flags": [STANDING],
        "timeline": [{"at": "2026-01-31T12:00:05.003Z", "type": "talking", "cause": "RTP of alice"}],
        "live": {"worker": 0, "parties": [ALICE_NOW]},
    },
    Billing: {
        "callId": CALL_ID,
        "units": [{"index": 1, "points": 100, "chargedAt": "2026-01-31T12:01:05.003Z"}],
        "totalPoints": 100,
    },
    DemoSessionRequest: {"party": "user"},
    DemoSession: {
        "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vLXVzZXItNzNlZTI0ZjIxZCJ9.c2lnbmF0dXJl",
        "expiresAt": "2026-01-31T13:00:00.000Z",
        "pair": "73ee24f21d",
        "userId": "demo-user-73ee24f21d",
        "otomoId": "demo-otomo-73ee24f21d",
        "otomoStatus": "online",
        "seq": 4711,
        "pricePerMinute": 100,
        "unitSeconds": 60,
        "balance": 1000,
    },
    Balance: {"userId": USER, "balance": 400, "updatedAt": "2026-01-31T12:01:05.003Z"},
    Usage: {"usage": [{name: _CALL[name] for name in _USAGE}], "nextCursor": None},
    AdminCallRequest: {"userId": USER, "otomoId": OTOMO, "pricePerMinute": 100},
    AdjustRequest: {"amount": 500, "reason": "order 17", "idempotencyKey": "order-17"},
    RateRequest: {"pricePerMinute": 120},
    Rate: {"otomoId": OTOMO, "pricePerMinute": 120},
    DrainRequest: {"mode": "wait", "deadlineSeconds": 300},
    Drained: {"draining": True, "mode": "wait", "deadlineAt": "2026-01-31T12:05:00.000Z", "liveCalls": 12},
    RecoveryLog: {
        "recovered": [
            {
                "callId": CALL_ID,
                "recoveredAt": "2026-01-31T12:02:00.000Z",
                "state": "talking",
                "endedAt": "2026-01-31T12:01:20.481Z",
                "durationSeconds": 75,
                "billedUnits": 1,
                "billedPoints": 100,
            }
        ]
    },
    Workers: {
        "stress": 0.31,
        "workers": [
            {
                "index": 0,
                "state": "up",
                "version": "3.27.1",
                "restarts": 0,
                "failure": None,
                "probe": {"ok": True, "ms": 0.31, "at": "2026-01-31T12:00:00.000Z"},
                "pid": 4211,
                "uptimeSeconds": 86400,
                "cpuPercent": 27.9,
                "cpuSeconds": 19021.4,
                "memoryBytes": 61_440_000,
                "routers": 80,
                "transports": 320,
                "producers": 160,
                "consumers": 160,
                "stress": 0.31,
                "packetsPerSecond": {"in": 8000.0, "out": 7950.0},
                "requests": {"pending": 0, "p50Ms": 0.42, "p99Ms": 3.1},
            }
        ],
    },
    SampleSeries: {
        "stepSeconds": 5,
        "samples": [
            {
                "at": "2026-01-31T12:00:00.000Z",
                "calls": 83,
                "talking": 80,
                "stress": 0.31,
                "loopLagMs": 2.4,
                "workerCpuPercent": 27.9,
                "nodeCpuPercent": 9.3,
                "packetsIn": 8000.0,
                "packetsOut": 7950.0,
                "lossPercent": 0.02,
                "httpRequests": 14.2,
                "httpP95Ms": 6.1,
                "sockets": 166,
            }
        ],
    },
    Alive: {"status": "live", "lagMs": 1.2},
    Ready: {
        "status": "ready",
        "stress": 0.31,
        "checks": [
            {"name": "database", "ok": True, "ms": 0.4},
            {"name": "database_writer", "ok": True, "ms": 0.6},
            {"name": "ports", "ok": True, "ms": 0.1},
            {"name": "draining", "ok": True, "ms": 0.0},
            {"name": "stress", "ok": True, "ms": 0.0},
            {
                "name": "worker 0",
                "ok": True,
                "ms": 0.7,
                "restarts": 0,
                "probe": {"ok": True, "ms": 0.31, "at": "2026-01-31T12:00:00.000Z"},
            },
        ],
    },
}
