"""Bodies as real clients send them, and one complete good body for every schema that reads one."""

from __future__ import annotations

from typing import Any

from schemas.base import Body
from schemas.call import AdminCallRequest, CallRequest, ExtendRequest, ReasonBody
from schemas.consumer import ConsumeRequest
from schemas.demo import DemoSessionRequest
from schemas.producer import ProduceRequest
from schemas.signaling import CallCommand, Envelope, Ping
from schemas.tariff import Tariff
from schemas.transport import ConnectTransportRequest, CreateTransportRequest
from schemas.wallet import AdjustRequest, RateRequest, RefundRequest

Json = dict[str, Any]

TRANSPORT_ID = "69b2d3a1-3b88-4c5e-b4f8-073e8019c18e"
PRODUCER_ID = "d31a3fb3-5b6c-4f36-a8c6-3c8bbfe8d9e6"
SHA_256 = ":".join(["AB"] * 32)


def extension(uri: str, id_: int) -> Json:
    return {"uri": uri, "id": id_, "encrypt": False, "parameters": {}}


def opus(payload_type: int, **parameters: Any) -> Json:
    return {
        "mimeType": "audio/opus",
        "payloadType": payload_type,
        "clockRate": 48000,
        "channels": 2,
        "parameters": parameters,
        "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}],
    }


CHROME_AUDIO: Json = {
    "mid": "0",
    "msid": "5c0d7a5e-3a5f-4d6f-9a43-0f6a9b7e7f11 b1a1c6c8-3f0e-4b7e-8a63-9d7b1b1d2e3f",
    "codecs": [opus(111, minptime=10, useinbandfec=1, **{"sprop-stereo": 0}, usedtx=1)],
    "headerExtensions": [
        extension("urn:ietf:params:rtp-hdrext:sdes:mid", 4),
        extension("http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", 2),
        extension("urn:ietf:params:rtp-hdrext:ssrc-audio-level", 1),
    ],
    "encodings": [{"ssrc": 1724105310, "dtx": True, "active": True, "priority": "high", "networkPriority": "high"}],
    "rtcp": {"cname": "xkTiFVx5Ee0fMbRX", "reducedSize": True, "mux": True},
}

CHROME_SIMULCAST: Json = {
    "mid": "1",
    "codecs": [
        {
            "mimeType": "video/VP8",
            "payloadType": 96,
            "clockRate": 90000,
            "parameters": {},
            "rtcpFeedback": [
                {"type": "goog-remb", "parameter": ""},
                {"type": "ccm", "parameter": "fir"},
                {"type": "nack", "parameter": ""},
                {"type": "nack", "parameter": "pli"},
            ],
        },
        {"mimeType": "video/rtx", "payloadType": 97, "clockRate": 90000, "parameters": {"apt": 96}, "rtcpFeedback": []},
    ],
    "headerExtensions": [extension("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", 10)],
    "encodings": [
        {"rid": "r0", "active": True, "maxBitrate": 100000, "scaleResolutionDownBy": 4, "scalabilityMode": "L1T3"},
        {"rid": "r1", "active": True, "maxBitrate": 300000, "scaleResolutionDownBy": 2.5, "dtx": False},
    ],
    "rtcp": {"cname": "xkTiFVx5Ee0fMbRX", "reducedSize": True},
}

FIREFOX_AUDIO: Json = {
    "mid": "0",
    "codecs": [opus(109, **{"maxplaybackrate": 48000, "stereo": 1, "useinbandfec": 1, "sprop-stereo": 1})],
    "headerExtensions": [extension("urn:ietf:params:rtp-hdrext:sdes:mid", 3)],
    "encodings": [{"ssrc": 4073629561}],
    "rtcp": {"cname": "{3b1c0b52-9c53-4a5e-9b0f-6a1e6a0a5f5d}", "reducedSize": True},
}

SAFARI_AUDIO: Json = {
    "codecs": [opus(111, minptime=10, useinbandfec=1)],
    "encodings": [{"ssrc": 3103321170, "dtx": False}],
    "rtcp": {"cname": ""},  # where the offer has no a=ssrc line with one
}

TELEPHONE_EVENTS: Json = {  # fmtp lines without "=" become names without a value
    "mimeType": "audio/telephone-event",
    "payloadType": 101,
    "clockRate": 8000,
    "channels": 1,
    "parameters": {"0-15": ""},
    "rtcpFeedback": [],
}

EVERY_RTP_FIELD: Json = {
    "mid": "7",
    "msid": "stream track",
    "codecs": [opus(111, minptime=10), TELEPHONE_EVENTS],
    "headerExtensions": [extension("urn:ietf:params:rtp-hdrext:sdes:mid", 4)],
    "encodings": [
        {
            "ssrc": 1111,
            "rid": "r0",
            "codecPayloadType": 111,
            "rtx": {"ssrc": 2222},
            "dtx": True,
            "scalabilityMode": "L1T1",
            "maxBitrate": 64000,
        }
    ],
    "rtcp": {"cname": "somebody", "reducedSize": False},
}

CAPABILITIES: Json = {
    "codecs": [
        {
            "kind": "audio",
            "mimeType": "audio/opus",
            "preferredPayloadType": 100,
            "clockRate": 48000,
            "channels": 2,
            "parameters": {"minptime": 10, "x-float": 2.5},
            "rtcpFeedback": [{"type": "nack", "parameter": "pli"}],
        }
    ],
    "headerExtensions": [
        {
            "kind": "audio",
            "uri": "urn:ietf:params:rtp-hdrext:sdes:mid",
            "preferredId": 1,
            "preferredEncrypt": False,
            "direction": "sendrecv",
        }
    ],
}

GOOD: dict[type[Body], Json] = {
    CreateTransportRequest: {"callId": "call_abc-123", "direction": "send"},
    ConnectTransportRequest: {
        "callId": "call_abc-123",
        "dtlsParameters": {
            "role": "client",
            "fingerprints": [
                {"algorithm": "sha-256", "value": SHA_256},
                {"algorithm": "sha-1", "value": ":".join(["0f"] * 20)},
            ],
        },
    },
    ProduceRequest: {
        "callId": "call_abc-123",
        "transportId": TRANSPORT_ID,
        "kind": "audio",
        "rtpParameters": EVERY_RTP_FIELD,
    },
    ConsumeRequest: {
        "callId": "call_abc-123",
        "transportId": TRANSPORT_ID,
        "producerId": PRODUCER_ID,
        "rtpCapabilities": CAPABILITIES,
    },
    CallRequest: {"otomoId": "otomo_001", "callId": "call_abc-123"},
    ReasonBody: {"reason": "お先に失礼します"},
    AdminCallRequest: {
        "userId": "user_001",
        "otomoId": "otomo_001",
        "callId": "call_abc-123",
        "pricePerMinute": 100,
    },
    AdjustRequest: {"amount": -500, "reason": "refund", "idempotencyKey": "order-17"},
    RefundRequest: {"points": 120, "reason": "bad line", "idempotencyKey": "complaint-3"},
    ExtendRequest: {"seconds": 600},
    RateRequest: {"pricePerMinute": 120},
    Tariff: {
        "unitSeconds": 7.5,
        "unitPoints": 100,
        "charge": "started",
        "freeSeconds": 300,
        "minimumUnits": 6,
        "maxSeconds": 3600,
    },
    DemoSessionRequest: {"party": "user", "pair": "73ee24f21d"},
    Envelope: {"type": "call_request", "payload": {}, "requestId": "r-1"},
    CallCommand: {"callId": "call_abc-123", "reason": "bye"},
    Ping: {},
}
