"""The call that the examples are about: alice calls hana. Who and what is in it, and how it goes."""

from __future__ import annotations

USER, OTOMO = "alice", "hana"
CALL_ID = "call_5r9QyVx0TtqkZ1aB"
TRANSPORT_ID = "ed1d0d28-876c-4fe9-86a2-bcb432eb7727"
PRODUCER_ID = "9440e749-fa60-434d-8607-442f22d03800"
CONSUMER_ID = "3d0b486b-6a20-47f8-841a-2bfe4fecf40a"

QUALITY = [
    {
        "from": USER,
        "to": OTOMO,
        "fromRole": "user",
        "mos": 4.31,
        "rFactor": 88.9,
        "lossPercent": 0.46,
        "jitterMs": 3.1,
        "roundTripMs": 84.0,
    }
]
FLAGS = [
    {
        "type": "dead_microphone",
        "userId": OTOMO,
        "role": "otomo",
        "since": "2026-01-31T12:00:31.002Z",
        "until": "2026-01-31T12:00:44.870Z",
    }
]
RECORD = {
    "endedBy": "user",
    "billedSeconds": 60,
    "worker": 0,
    "mos": 4.31,
    "quality": QUALITY,
    "flags": FLAGS,
    "transports": [
        {"userId": USER, "role": "user", "protocol": "udp"},
        {"userId": OTOMO, "role": "otomo", "protocol": "tcp"},
    ],
}
STANDING = FLAGS[0] | {"until": None}
ALICE_NOW = {
    "userId": USER,
    "role": "user",
    "sockets": 1,
    "lastRtpAt": "2026-01-31T12:00:47.213Z",
    "transports": [
        {
            "transportId": TRANSPORT_ID,
            "direction": "send",
            "iceState": "completed",
            "dtlsState": "connected",
            "selectedTuple": {
                "protocol": "udp",
                "localAddress": "192.0.2.10",
                "localPort": 40000,
                "remoteAddress": "203.0.113.7",
                "remotePort": 51824,
            },
            "bytesReceived": 287410,
            "bytesSent": 3126,
        }
    ],
    "producers": [
        {
            "producerId": PRODUCER_ID,
            "kind": "audio",
            "paused": False,
            "packets": 2113,
            "bytes": 271908,
            "bitrate": 51984,
            "packetsLost": 4,
            "lossPercent": 0.19,
            "jitterMs": 2.4,
            "roundTripMs": None,
            "score": 10,
            "lastRtpAt": "2026-01-31T12:00:47.213Z",
            "level": -31,
        }
    ],
    "consumers": [
        {
            "consumerId": CONSUMER_ID,
            "producerId": "5e1c6b0e-8f5e-4a53-8f3c-6a5c4f7f6a11",
            "paused": False,
            "packets": 2098,
            "bitrate": 50112,
            "packetsLost": 9,
            "lossPercent": 0.43,
            "jitterMs": 3.1,
            "roundTripMs": 42.7,
            "score": 10,
        }
    ],
}
