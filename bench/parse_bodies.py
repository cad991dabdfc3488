"""What reading and writing bodies costs, as one JSON line: ``python -m bench.parse_bodies``.

Microseconds for one call, the best of several rounds. ``warm`` has seen the codecs and header extensions before,
``cold`` never; ``spaced`` is JSON with spaces, which pays for a second look for duplicate names; ``marshmallow`` is
the same body through ``Schema.load`` alone; ``refused`` is a body with one wrong field.

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

import orjson

from schemas.base import dump, instance, load, parse
from schemas.consumer import ConsumerCreated, ConsumerCreatedSchema, ConsumeRequestSchema
from schemas.problem import InvalidBody
from schemas.producer import ProduceRequestSchema
from schemas.rtp import RtpParametersSchema
from schemas.signaling import EnvelopeSchema
from schemas.transport import ConnectTransportRequestSchema
from schemas.wire import decode

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
    fresh = in_turn([orjson.dumps(produce(number)) for number in range(1000)])
    unseen = in_turn([orjson.dumps(produce(number, codecs_of=number)) for number in range(1000)])
    raw = fresh()
    spaced = json.dumps(orjson.loads(raw)).encode()
    refused = orjson.dumps(produce(1) | {"kind": "smell"})
    value = orjson.loads(raw)
    fingerprint = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}
    connect = orjson.dumps({"dtlsParameters": {"role": "client", "fingerprints": [fingerprint]}})
    ids = {"callId": "c", "transportId": TRANSPORT_ID, "producerId": TRANSPORT_ID}
    consume = orjson.dumps(ids | {"rtpCapabilities": capabilities()})
    received = load(RtpParametersSchema, rtp_parameters(1))
    created = ConsumerCreated(TRANSPORT_ID, TRANSPORT_ID, "audio", received, producer_paused=False)
    command = '{"type":"call_end","payload":{"callId":"call_abc123"},"requestId":"r-1"}'
    return {
        "produce_bytes": len(raw),
        "produce_warm_us": microseconds(lambda: parse(ProduceRequestSchema, fresh())),
        "produce_cold_us": microseconds(lambda: parse(ProduceRequestSchema, unseen())),
        "produce_spaced_us": microseconds(lambda: parse(ProduceRequestSchema, spaced)),
        "produce_refused_us": microseconds(lambda: _refused(refused)),
        "produce_decode_us": microseconds(lambda: decode(raw)),
        "produce_marshmallow_us": microseconds(lambda: instance(ProduceRequestSchema).load(value)),
        "connect_us": microseconds(lambda: parse(ConnectTransportRequestSchema, connect)),
        "consume_bytes": len(consume),
        "consume_warm_us": microseconds(lambda: parse(ConsumeRequestSchema, consume)),
        "command_us": microseconds(lambda: parse(EnvelopeSchema, command)),
        "consumer_created_dump_us": microseconds(lambda: dump(ConsumerCreatedSchema, created)),
        "consumer_created_bytes_us": microseconds(lambda: orjson.dumps(dump(ConsumerCreatedSchema, created))),
    }


def _refused(raw: bytes) -> None:
    with suppress(InvalidBody):  # the refusal is what is measured
        parse(ProduceRequestSchema, raw)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
