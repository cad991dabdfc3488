"""What reading and writing bodies costs, as one JSON line: ``python -m bench.parse_bodies``.

Microseconds for one call, the best of several rounds. ``spaced`` is JSON with spaces; ``marshmallow`` is the same body
through the derived schema alone, which judges what msgspec has refused; ``pointed`` has one whole number with a point,
and ``refused`` one wrong field: both take that way.

This file is not named after what it measures: as ``bench/schemas.py`` it would hide the package from every script
beside it.
"""

from __future__ import annotations

import itertools
import json
import sys
import timeit
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from schemas.base import encode, load, parse
from schemas.consumer import ConsumerCreated, ConsumeRequest
from schemas.marshmallow import judged
from schemas.problem import InvalidBody
from schemas.producer import ProduceRequest
from schemas.signaling import Envelope
from schemas.transport import ConnectTransportRequest
from worker_bridge.rtp import RtpParameters

TRANSPORT_ID = "69b2d3a1-3b88-4c5e-b4f8-073e8019c18e"
ROUNDS = 7
ROUND_S = 0.05

Json = dict[str, Any]


def rtp_parameters(number: int, payload_type: int = 111) -> Json:
    """What mediasoup-client sends for a microphone."""
    uris = (
        "urn:ietf:params:rtp-hdrext:sdes:mid",
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    )
    opus = {
        "mimeType": "audio/opus",
        "payloadType": payload_type,
        "clockRate": 48000,
        "channels": 2,
        "parameters": {"minptime": 10, "useinbandfec": 1, "sprop-stereo": 0, "usedtx": 1, "x-run": number},
        "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}],
    }
    return {
        "mid": str(number),
        "codecs": [opus],
        "headerExtensions": [
            {"uri": uri, "id": id_, "encrypt": False, "parameters": {}} for id_, uri in enumerate(uris, 1)
        ],
        "encodings": [{"ssrc": 100000 + number, "dtx": True}],
        "rtcp": {"cname": f"cname-{number}", "reducedSize": True},
    }


def produce(number: int, codecs_of: int = 0) -> Json:
    parameters = rtp_parameters(number) | {"codecs": rtp_parameters(codecs_of)["codecs"]}
    return {"callId": "call_abc123", "transportId": TRANSPORT_ID, "kind": "audio", "rtpParameters": parameters}


def capabilities() -> Json:
    """As large as a browser's whole list."""
    codec = {"kind": "video", "mimeType": "video/H264", "clockRate": 90000, "parameters": {"packetization-mode": 1}}
    feedback = [{"type": "nack", "parameter": "pli"}, {"type": "ccm", "parameter": "fir"}, {"type": "goog-remb"}]
    codecs = [codec | {"preferredPayloadType": number, "rtcpFeedback": feedback} for number in range(40)]
    return {"codecs": codecs, "headerExtensions": []}


def microseconds(call: Callable[[], Any]) -> float:
    timer = timeit.Timer(call)
    once = max(timer.timeit(20) / 20, 1e-7)
    number = max(1, int(ROUND_S / once))
    return round(min(timer.repeat(ROUNDS, number)) / number * 1e6, 2)


def in_turn(bodies: list[bytes]) -> Callable[[], bytes]:
    return itertools.cycle(bodies).__next__


def measure() -> Json:
    fresh = in_turn([msgspec.json.encode(produce(number)) for number in range(1000)])
    unseen = in_turn([msgspec.json.encode(produce(number, codecs_of=number)) for number in range(1000)])
    raw = fresh()
    spaced = json.dumps(msgspec.json.decode(raw)).encode()
    refused = msgspec.json.encode(produce(1) | {"kind": "smell"})
    pointed = raw.replace(b"48000", b"48000.0")
    value = msgspec.json.decode(raw)
    fingerprint = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}
    connect = msgspec.json.encode({"dtlsParameters": {"role": "client", "fingerprints": [fingerprint]}})
    ids = {"callId": "c", "transportId": TRANSPORT_ID, "producerId": TRANSPORT_ID}
    consume = msgspec.json.encode(ids | {"rtpCapabilities": capabilities()})
    received = load(RtpParameters, rtp_parameters(1))
    created = ConsumerCreated(TRANSPORT_ID, TRANSPORT_ID, "audio", received, producer_paused=False)
    command = '{"type":"call_end","payload":{"callId":"call_abc123"},"requestId":"r-1"}'
    return {
        "produce_bytes": len(raw),
        "produce_us": microseconds(lambda: parse(ProduceRequest, fresh())),
        "produce_cold_us": microseconds(lambda: parse(ProduceRequest, unseen())),
        "produce_spaced_us": microseconds(lambda: parse(ProduceRequest, spaced)),
        "produce_refused_us": microseconds(lambda: _refused(refused)),
        "produce_pointed_us": microseconds(lambda: parse(ProduceRequest, pointed)),
        "produce_marshmallow_us": microseconds(lambda: judged(ProduceRequest, value)),
        "connect_us": microseconds(lambda: parse(ConnectTransportRequest, connect)),
        "consume_bytes": len(consume),
        "consume_us": microseconds(lambda: parse(ConsumeRequest, consume)),
        "command_us": microseconds(lambda: parse(Envelope, command)),
        "consumer_created_us": microseconds(lambda: encode(created)),
    }


def _refused(raw: bytes) -> None:
    with suppress(InvalidBody):  # the refusal is what is measured
        parse(ProduceRequest, raw)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
