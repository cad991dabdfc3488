"""What one message costs to write and to read, in microseconds. Prints JSON.

The best of several rounds is the cost of the work; the worst shows how busy the machine was.
"""

from __future__ import annotations

import json
import sys
import timeit
from collections.abc import Callable
from typing import Any

from worker_bridge.codec import MessageCodec
from worker_bridge.native import locate

CALLS = 5_000  # in a round
ROUNDS = 9

CODEC = {
    "mime_type": "audio/opus",
    "payload_type": 111,
    "clock_rate": 48000,
    "channels": 2,
    "parameters": [
        {"name": "minptime", "value_type": "Integer32", "value": {"value": 10}},
        {"name": "useinbandfec", "value_type": "Integer32", "value": {"value": 1}},
        {"name": "usedtx", "value_type": "Integer32", "value": {"value": 1}},
    ],
    "rtcp_feedback": [{"type": "transport-cc", "parameter": ""}, {"type": "nack", "parameter": ""}],
}
PRODUCE: dict[str, Any] = {
    "producer_id": "0d1e0b5e-6a51-4a6e-9f8b-9f4f2f1c0001",
    "kind": "AUDIO",
    "rtp_parameters": {
        "mid": "0",
        "codecs": [CODEC],
        "header_extensions": [
            {"uri": "Mid", "id": 4},
            {"uri": "SsrcAudioLevel", "id": 1},
            {"uri": "AbsSendTime", "id": 2},
            {"uri": "TransportWideCcDraft01", "id": 3},
        ],
        "encodings": [{"ssrc": 2718281828, "dtx": True}],
        "rtcp": {"cname": "Zk3bC1d0pQ7rXs9t", "reduced_size": True},
    },
    "rtp_mapping": {
        "codecs": [{"payload_type": 111, "mapped_payload_type": 100}],
        "encodings": [{"ssrc": 2718281828, "mapped_ssrc": 314159265}],
    },
    "paused": False,
}
HANDLER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def cost(call: Callable[[], object]) -> dict[str, float]:
    rounds = [seconds / CALLS * 1e6 for seconds in timeit.repeat(call, number=CALLS, repeat=ROUNDS)]
    return {"best_us": round(min(rounds), 2), "worst_us": round(max(rounds), 2)}


def main() -> None:
    schema = locate().schema.read_bytes()
    codec = MessageCodec(schema)
    produce = codec.request(1, "TRANSPORT_PRODUCE", HANDLER, PRODUCE)
    dump = codec.request(1, "PRODUCER_DUMP", HANDLER)
    result = {
        "benchmark": "codec",
        "transport_produce": {
            "bytes": len(produce),
            "encode": cost(lambda: codec.request(1, "TRANSPORT_PRODUCE", HANDLER, PRODUCE)),
            "decode": cost(lambda: codec.decode(produce)),
        },
        "producer_dump": {
            "bytes": len(dump),
            "encode": cost(lambda: codec.request(1, "PRODUCER_DUMP", HANDLER)),
            "decode": cost(lambda: codec.decode(dump)),
        },
        "new_codec_us": round(min(timeit.repeat(lambda: MessageCodec(schema), number=20, repeat=5)) / 20 * 1e6),
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
