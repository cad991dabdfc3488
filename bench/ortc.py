"""Times of the ORTC functions, as JSON: microseconds a call, the best and the median of several rounds.

Every call gets parameters of its own, as parsed from a request: fresh objects, and a fresh MID, SSRC and CNAME.
Run as ``python -m bench.ortc``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from worker_bridge import ortc
from worker_bridge.capabilities import ABS_SEND_TIME, MID, SSRC_AUDIO_LEVEL, TRANSPORT_CC
from worker_bridge.rtp import (
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpHeaderExtensionParameters,
    RtpParameters,
    parameters,
)
from worker_bridge.rtp_fbs import encodings_to_fbs, mapping_to_fbs, parameters_to_fbs

ROUNDS = 15
CALLS = 2000  # a round

ROUTER = ortc.router_capabilities([RtpCodecCapability("audio", "audio/opus", 48000, channels=2)])


def microphone(index: int) -> RtpParameters:
    """What a browser's microphone offers, as new objects."""
    return RtpParameters(
        codecs=(
            RtpCodecParameters(
                "audio/opus",
                111,
                48000,
                2,
                parameters(minptime=10, useinbandfec=1, usedtx=1),
                (RtcpFeedback("transport-cc"), RtcpFeedback("nack")),
            ),
        ),
        header_extensions=(
            RtpHeaderExtensionParameters(MID, 4),
            RtpHeaderExtensionParameters(ABS_SEND_TIME, 2),
            RtpHeaderExtensionParameters(TRANSPORT_CC, 3),
            RtpHeaderExtensionParameters(SSRC_AUDIO_LEVEL, 1),
        ),
        encodings=(RtpEncodingParameters(ssrc=1_000_000 + index, dtx=True),),
        rtcp=RtcpParameters(f"cname{index}"),
        mid=str(index % 10),
    )


def receiver(_: int) -> RtpCapabilities:
    """What a browser can receive, reduced to the router's codecs by mediasoup-client, as new objects."""
    extensions = tuple(RtpHeaderExtension(uri, 1 + i, "audio") for i, uri in enumerate((MID, ABS_SEND_TIME)))
    return RtpCapabilities(
        (
            RtpCodecCapability(
                "audio", "audio/opus", 48000, 100, 2, parameters(minptime=10), (RtcpFeedback("transport-cc"),)
            ),
        ),
        extensions,
    )


def produce(params: RtpParameters) -> tuple[Any, ...]:
    """All that a produce request needs."""
    params = ortc.validate_parameters(params, "audio")
    params, mapping = ortc.producer_mapping(params, ROUTER)
    consumable = ortc.consumable_parameters("audio", params, ROUTER, mapping)
    return parameters_to_fbs(params), mapping_to_fbs(mapping), consumable


def consume(consumable: RtpParameters, caps: RtpCapabilities) -> tuple[Any, ...]:
    """All that a consume request needs."""
    caps = ortc.validate_capabilities(caps)
    ortc.can_consume(consumable, caps)
    return parameters_to_fbs(ortc.consumer_parameters(consumable, caps)), encodings_to_fbs(consumable.encodings)


def measure(call: Callable[..., object], inputs: list[tuple[Any, ...]]) -> dict[str, float]:
    """Microseconds a call. Each input is used once a round; what it is made of has been seen before."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for arguments in inputs:
            call(*arguments)
        rounds.append((time.perf_counter() - start) / len(inputs) * 1e6)
    return {"best": round(min(rounds), 2), "median": round(statistics.median(rounds), 2)}


def main() -> None:
    """Print the report."""
    fresh = [microphone(index) for index in range(CALLS)]
    valid = [ortc.validate_parameters(params) for params in fresh]
    mapped = [ortc.producer_mapping(params, ROUTER) for params in valid]
    consumables = [ortc.consumable_parameters("audio", params, ROUTER, mapping) for params, mapping in mapped]
    receivers = [receiver(index) for index in range(CALLS)]
    known = ortc.validate_capabilities(receivers[0])
    report = {
        "produce": measure(produce, [(params,) for params in fresh]),
        "validate_parameters": measure(ortc.validate_parameters, [(params, "audio") for params in fresh]),
        "validate_parameters, known objects": measure(ortc.validate_parameters, [(params,) for params in valid]),
        "producer_mapping": measure(ortc.producer_mapping, [(params, ROUTER) for params in valid]),
        "consumable_parameters": measure(
            ortc.consumable_parameters, [("audio", params, ROUTER, mapping) for params, mapping in mapped]
        ),
        "parameters_to_fbs": measure(parameters_to_fbs, [(params,) for params in valid]),
        "mapping_to_fbs": measure(mapping_to_fbs, [(mapping,) for _, mapping in mapped]),
        "consume": measure(consume, list(zip(consumables, receivers, strict=True))),
        "validate_capabilities": measure(ortc.validate_capabilities, [(caps,) for caps in receivers]),
        "can_consume": measure(ortc.can_consume, [(consumable, known) for consumable in consumables]),
        "consumer_parameters": measure(ortc.consumer_parameters, [(consumable, known) for consumable in consumables]),
    }
    json.dump({"unit": "µs a call", "python": sys.version.split()[0], "ortc": report}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
