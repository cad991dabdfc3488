"""What goes with what: the capabilities of routers, and the parameters of producers and consumers (ORTC's rules).

Pure functions on frozen values, in the order in which a request needs them: ``validate_parameters``,
``producer_mapping`` and ``consumable_parameters`` for a producer, ``consumer_parameters`` for each of its consumers.
What depends on codecs and header extensions alone is the same for all endpoints of one browser version, and put
together once. Knows no transport, and so neither MIDs nor CNAMEs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec.structs import replace

from worker_bridge import h264
from worker_bridge.capabilities import (
    ABS_CAPTURE_TIME,
    DYNAMIC_PAYLOAD_TYPES,
    SUPPORTED,
)
from worker_bridge.checks import sequence
from worker_bridge.codec_match import RTX, describe, matches, rtx_of, subtype
from worker_bridge.errors import InvalidParameters, Unsupported
from worker_bridge.ortc_consumers import (
    can_consume,
    consumer_parameters,
    pipe_consumer_parameters,
    random_ssrc,
)
from worker_bridge.ortc_validate import validate_capabilities, validate_parameters
from worker_bridge.rtp import (
    CodecMapping,
    Codecs,
    EncodingMapping,
    HeaderExtensions,
    MediaKind,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpMapping,
    RtpParameters,
    parameters,
)
from worker_bridge.sctp import validate_sctp_stream_parameters
from worker_bridge.value import REMEMBERED

__all__ = [
    "can_consume",
    "consumable_parameters",
    "consumer_parameters",
    "pipe_consumer_parameters",
    "producer_mapping",
    "router_capabilities",
    "validate_capabilities",
    "validate_parameters",
    "validate_sctp_stream_parameters",
]


def router_capabilities(codecs: Sequence[RtpCodecCapability]) -> RtpCapabilities:
    """The capabilities of a router that routes ``codecs``, each video codec with an RTX codec behind it.

    A codec keeps its ``preferred_payload_type``, else takes its static one, else the next dynamic one; it gets the
    worker's RTCP feedback (its own is ignored), and its parameters are added to the worker's. Equal codecs give the
    same object. Raises Unsupported where the worker lacks a codec, InvalidParameters where a value is wrong or payload
    types clash or run out.
    """
    sequence("codecs", codecs)
    return _router_capabilities(validate_capabilities(RtpCapabilities(tuple(codecs))).codecs)


def producer_mapping(params: RtpParameters, caps: RtpCapabilities) -> tuple[RtpParameters, RtpMapping]:
    """How the router ``caps`` numbers what a producer of ``params`` sends; ``mapped_ssrc`` are random, then counted up.

    The first result is ``params``, where an H264 codec got the ``profile-level-id`` that answers it (RFC 6184 §8.2.2).
    Raises Unsupported where the router lacks a codec, or has it without RTX where the producer has that.
    """
    codecs, mapping = _map_codecs(params.codecs, caps)
    ssrc = random_ssrc()
    encodings = tuple(
        [EncodingMapping(ssrc + index, encoding.ssrc, encoding.rid) for index, encoding in enumerate(params.encodings)]
    )
    if codecs != params.codecs:
        params = replace(params, codecs=codecs)
    return params, RtpMapping(mapping, encodings)


def consumable_parameters(
    kind: MediaKind, params: RtpParameters, caps: RtpCapabilities, mapping: RtpMapping
) -> RtpParameters:
    """What the router can send on of a producer, before it is fitted to one consumer.

    Codecs are the router's with the producer's parameters, RTX whether the producer has it or not; header extensions
    are those of ``kind`` that the router sends. ``params`` and ``mapping`` are results of ``producer_mapping`` with
    the same ``caps``. Raises InvalidParameters where the codecs are not of ``kind``.
    """
    codecs, extensions = _consumable_parts(params.codecs, params.header_extensions, mapping.codecs, caps)
    if not codecs[0].mime_type.startswith(kind):  # a router's own spelling, so lower-case
        raise InvalidParameters(f"codecs.0.mimeType: {params.codecs[0].mime_type} can't be {kind}")
    encodings = tuple(
        [
            RtpEncodingParameters(
                mapped.mapped_ssrc, None, None, None, encoding.dtx, encoding.scalability_mode, encoding.max_bitrate
            )
            for encoding, mapped in zip(params.encodings, mapping.encodings, strict=True)
        ]
    )
    return RtpParameters(codecs, extensions, encodings, params.rtcp, None, params.msid)


# Routers.


@lru_cache(REMEMBERED)
def _router_capabilities(codecs: tuple[RtpCodecCapability, ...]) -> RtpCapabilities:
    free = list(DYNAMIC_PAYLOAD_TYPES)
    routed: dict[int, RtpCodecCapability] = {}
    for index, codec in enumerate(codecs):
        path = f"codecs.{index}"
        known = next((known for known in SUPPORTED.codecs if matches(codec, known, strict=False)), None)
        if known is None:
            raise Unsupported(f"{path}: the worker has no {describe(codec)}")
        payload_type = codec.preferred_payload_type
        if payload_type is not None:
            if payload_type in free:
                free.remove(payload_type)
        elif known.preferred_payload_type is not None:
            payload_type = known.preferred_payload_type
        else:
            payload_type = _take(path, free)
        if payload_type in routed:
            raise InvalidParameters(f"{path}.preferredPayloadType: {payload_type} is used twice")
        merged = parameters({**known.parameters, **codec.parameters})
        routed[payload_type] = replace(known, preferred_payload_type=payload_type, parameters=merged)
        if known.kind == "video":
            rtx = _take(path, free)
            routed[rtx] = RtpCodecCapability(
                "video", "video/rtx", known.clock_rate, rtx, parameters=parameters(apt=payload_type)
            )
    return RtpCapabilities(tuple(routed.values()), SUPPORTED.header_extensions)


def _take(path: str, free: list[int]) -> int:
    if not free:
        raise InvalidParameters(f"{path}: no dynamic payload type is left")
    return free.pop(0)


# Producers.


@lru_cache(REMEMBERED)
def _map_codecs(codecs: Codecs, caps: RtpCapabilities) -> tuple[Codecs, tuple[CodecMapping, ...]]:
    """``codecs`` with H264's answer, and how the router numbers them."""
    routed: dict[int, RtpCodecCapability] = {}  # by the producer's payload type; media first, RTX behind
    answered: dict[int, RtpCodecParameters] = {}
    for index, codec in enumerate(codecs):
        if subtype(codec.mime_type) == RTX:
            continue
        match = next((cap for cap in caps.codecs if matches(codec, cap, strict=True)), None)
        if match is None:
            raise Unsupported(f"codecs.{index}: the router has no {describe(codec)}")
        routed[codec.payload_type] = match
        answered[codec.payload_type] = _answered(codec, match)
    for index, codec in enumerate(codecs):
        if subtype(codec.mime_type) != RTX:
            continue
        apt = codec.parameters["apt"]
        rtx = rtx_of(routed[int(apt)], caps)
        if rtx is None:
            raise Unsupported(f"codecs.{index}: the router has no RTX for payload type {apt}")
        routed[codec.payload_type] = rtx
    mapping = tuple(CodecMapping(payload_type, _payload_type(cap)) for payload_type, cap in routed.items())
    return tuple(answered.get(codec.payload_type, codec) for codec in codecs), mapping


def _answered(codec: RtpCodecParameters, match: RtpCodecCapability) -> RtpCodecParameters:
    if subtype(codec.mime_type) != "h264":
        return codec
    ours = dict(codec.parameters)
    answer = h264.answer(ours, match.parameters)
    ours.pop(h264.PROFILE_LEVEL_ID, None)
    if answer is not None:
        ours[h264.PROFILE_LEVEL_ID] = answer
    return replace(codec, parameters=parameters(ours))


@lru_cache(REMEMBERED)
def _consumable_parts(
    codecs: Codecs, extensions: HeaderExtensions, mapping: tuple[CodecMapping, ...], caps: RtpCapabilities
) -> tuple[Codecs, HeaderExtensions]:
    consumable = _consumable_codecs(codecs, mapping, caps)
    return consumable, _consumable_extensions(consumable, extensions, caps)


def _consumable_codecs(codecs: Codecs, mapping: tuple[CodecMapping, ...], caps: RtpCapabilities) -> Codecs:
    mapped = {entry.payload_type: entry.mapped_payload_type for entry in mapping}
    by_payload_type = {cap.preferred_payload_type: cap for cap in caps.codecs}
    consumable: dict[int, RtpCodecParameters] = {}
    for codec in codecs:
        payload_type = mapped[codec.payload_type]
        # Two codecs of the producer may be one to the router, and no consumer may have a payload type twice.
        if subtype(codec.mime_type) == RTX or payload_type in consumable:
            continue
        cap = by_payload_type[payload_type]
        consumable[payload_type] = replace(_in_use(cap), parameters=codec.parameters)
        rtx = rtx_of(cap, caps)
        if rtx is not None:
            consumable[_payload_type(rtx)] = _in_use(rtx)
    return tuple(consumable.values())


def _consumable_extensions(codecs: Codecs, offered: HeaderExtensions, caps: RtpCapabilities) -> HeaderExtensions:
    kind = codecs[0].mime_type.partition("/")[0]
    # Capture times are the producer's own; without them a consumer would wait for ever for what never comes.
    with_capture_time = any(extension.uri == ABS_CAPTURE_TIME for extension in offered)
    return tuple(
        RtpHeaderExtensionParameters(extension.uri, extension.preferred_id, extension.preferred_encrypt)
        for extension in caps.header_extensions
        if extension.kind == kind
        and extension.direction in ("sendrecv", "sendonly")
        and (with_capture_time or extension.uri != ABS_CAPTURE_TIME)
    )


# Codecs.


def _in_use(cap: RtpCodecCapability) -> RtpCodecParameters:
    return RtpCodecParameters(
        cap.mime_type, _payload_type(cap), cap.clock_rate, cap.channels, cap.parameters, cap.rtcp_feedback
    )


def _payload_type(cap: RtpCodecCapability) -> int:
    if cap.preferred_payload_type is None:
        raise InvalidParameters(f"codecs: a router's {cap.mime_type} needs a preferredPayloadType")
    return cap.preferred_payload_type
