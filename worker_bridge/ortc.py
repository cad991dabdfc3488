"""What goes with what: the capabilities of routers, and the parameters of producers and consumers (ORTC's rules).

Pure functions on frozen values. Parameters come in validated (``validate_parameters``) and go out fit for the worker;
``rtp_wire`` writes them. Everything that depends on codecs and header extensions alone is computed once per browser
version and remembered by content. Knows no transport, and so neither MIDs nor CNAMEs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from worker_bridge import h264
from worker_bridge.capabilities import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    DYNAMIC_PAYLOAD_TYPES,
    MID,
    SUPPORTED,
    TRANSPORT_CC,
)
from worker_bridge.codec_match import RTX, describe, matches, rtx_of, subtype
from worker_bridge.errors import InvalidParameters, Unsupported
from worker_bridge.fitting import Codecs, Extensions, fit, pipe_encodings, random_ssrc
from worker_bridge.memo import remembered
from worker_bridge.ortc_validate import validate_capabilities, validate_codec_capability, validate_parameters
from worker_bridge.rtp import (
    CodecMapping,
    EncodingMapping,
    MediaKind,
    RtcpFeedback,
    RtcpParameters,
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

# The router takes it from producers but does not offer it, and routers that are piped together want it all the same.
_PIPED_DEPENDENCY_DESCRIPTOR: Final = next(
    RtpHeaderExtensionParameters(extension.uri, extension.preferred_id, extension.preferred_encrypt)
    for extension in SUPPORTED.header_extensions
    if extension.uri == DEPENDENCY_DESCRIPTOR
)


def router_capabilities(codecs: Sequence[RtpCodecCapability]) -> RtpCapabilities:
    """The capabilities of a router that routes ``codecs``, each video codec with an RTX codec behind it.

    A codec keeps its ``preferred_payload_type``, else takes its static one, else the next dynamic one; it gets the
    worker's RTCP feedback (its own is ignored), and its parameters are added to the worker's. Equal codecs give the
    same object. Raises ``Unsupported`` for a codec that the worker lacks, ``InvalidParameters`` for bad values and for
    payload types that clash or run out.
    """
    return _router_capabilities(
        tuple(validate_codec_capability(f"codecs.{index}", codec) for index, codec in enumerate(codecs))
    )


def producer_mapping(params: RtpParameters, caps: RtpCapabilities) -> tuple[RtpParameters, RtpMapping]:
    """How the router ``caps`` numbers what a producer of ``params`` sends; ``mapped_ssrc`` are random, then counted up.

    The first result is ``params``, where an H264 codec got the ``profile-level-id`` that answers it (RFC 6184 §8.2.2).
    Raises ``Unsupported`` for a codec that the router lacks, or has without RTX where the producer has it.
    """
    mapped = map_codecs(params.codecs, caps)
    if mapped.codecs is not params.codecs:
        params = RtpParameters(
            mapped.codecs, params.header_extensions, params.encodings, params.rtcp, params.mid, params.msid
        )
    ssrc = random_ssrc()
    encodings = tuple(
        EncodingMapping(ssrc + index, encoding.ssrc, encoding.rid) for index, encoding in enumerate(params.encodings)
    )
    return params, RtpMapping(mapped.mapping, encodings)


def consumable_parameters(
    kind: MediaKind, params: RtpParameters, caps: RtpCapabilities, mapping: RtpMapping
) -> RtpParameters:
    """What the router can send on of a producer, before it is fitted to one consumer.

    Codecs are the router's with the producer's parameters, RTX whether the producer has it or not; header extensions
    are those of ``kind`` that the router sends. ``params`` and ``mapping`` are results of ``producer_mapping`` with
    the same ``caps``. Raises ``InvalidParameters`` where the codecs are not of ``kind``.
    """
    consumable = consumable_parts(params.codecs, params.header_extensions, mapping.codecs, caps)
    if not consumable.codecs[0].mime_type.startswith(kind):  # a router's own spelling, so lower-case
        raise InvalidParameters(f"codecs.0.mimeType: {params.codecs[0].mime_type} can't be {kind}")
    return consumable.of(params, [encoding.mapped_ssrc for encoding in mapping.encodings])


def can_consume(consumable: RtpParameters, caps: RtpCapabilities) -> bool:
    """Whether an endpoint of ``caps`` can receive any media codec of a producer.

    Raises ``InvalidParameters`` for bad capabilities.
    """
    return fit(consumable.codecs, consumable.header_extensions, validate_capabilities(caps), False).can_send(consumable)


def consumer_parameters(
    consumable: RtpParameters, remote: RtpCapabilities, *, pipe: bool = False, enable_rtx: bool = False
) -> RtpParameters:
    """The parameters of a consumer for an endpoint of ``remote``: one encoding, or with ``pipe`` all of them.

    RTCP feedback is the endpoint's, without plain NACK unless ``enable_rtx``; of the two congestion controls one stays:
    transport-cc where its header extension is common, else REMB where abs-send-time is. SSRCs are random; ``mid`` is
    left to the transport. Raises ``Unsupported`` where there is no common media codec, ``InvalidParameters`` for bad
    capabilities.
    """
    fitted = fit(consumable.codecs, consumable.header_extensions, validate_capabilities(remote), enable_rtx)
    return fitted.of(consumable, fitted.encodings(consumable, pipe=pipe))


def pipe_consumer_parameters(consumable: RtpParameters, *, enable_rtx: bool) -> RtpParameters:
    """The parameters of a consumer for another router: all encodings, no MID, no bandwidth estimation.

    Without ``enable_rtx`` there is neither RTX nor NACK.
    """
    codecs, extensions = _pipe_parts(consumable.codecs, consumable.header_extensions, enable_rtx)
    encodings = pipe_encodings(consumable.encodings, with_rtx=enable_rtx)
    return RtpParameters(codecs, extensions, encodings, consumable.rtcp, None, consumable.msid)


# Routers.


@remembered
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


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """``codecs`` as the producer gave them, with H264's answer, and how the router numbers them."""

    codecs: Codecs
    mapping: tuple[CodecMapping, ...]


@remembered
def map_codecs(codecs: Codecs, caps: RtpCapabilities) -> Mapped:
    """The part of ``producer_mapping`` that depends on codecs alone."""
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
    changed = tuple(answered.get(codec.payload_type, codec) for codec in codecs)
    mapping = tuple(CodecMapping(payload_type, _payload_type(cap)) for payload_type, cap in routed.items())
    return Mapped(codecs if changed == codecs else changed, mapping)


def _answered(codec: RtpCodecParameters, match: RtpCodecCapability) -> RtpCodecParameters:
    if subtype(codec.mime_type) != "h264":
        return codec
    ours = dict(codec.parameters)
    answer = h264.answer(ours, match.parameters)
    ours.pop(h264.PROFILE_LEVEL_ID, None)
    if answer is not None:
        ours[h264.PROFILE_LEVEL_ID] = answer
    return replace(codec, parameters=parameters(ours))


@dataclass(frozen=True, slots=True, eq=False)
class Consumable:
    """What the producers of one browser version have in common for those who consume them."""

    codecs: Codecs
    extensions: Extensions

    def of(self, params: RtpParameters, ssrcs: Sequence[int]) -> RtpParameters:
        """With what a producer of ``params`` has of its own; its streams have ``ssrcs`` in the router."""
        encodings = tuple(
            [
                RtpEncodingParameters(
                    ssrc, None, None, None, encoding.dtx, encoding.scalability_mode, encoding.max_bitrate
                )
                for encoding, ssrc in zip(params.encodings, ssrcs, strict=True)
            ]
        )
        rtcp = params.rtcp if params.rtcp.reduced_size else RtcpParameters(params.rtcp.cname)
        return RtpParameters(self.codecs, self.extensions, encodings, rtcp, None, params.msid)


@remembered
def consumable_parts(
    codecs: Codecs, extensions: Extensions, mapping: tuple[CodecMapping, ...], caps: RtpCapabilities
) -> Consumable:
    """The part of ``consumable_parameters`` that depends on codecs and header extensions alone."""
    consumable = _consumable_codecs(codecs, mapping, caps)
    return Consumable(consumable, _consumable_extensions(consumable, extensions, caps))


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


def _consumable_extensions(codecs: Codecs, offered: Extensions, caps: RtpCapabilities) -> Extensions:
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


# Consumers.


@remembered
def _pipe_parts(codecs: Codecs, extensions: Extensions, enable_rtx: bool) -> tuple[Codecs, Extensions]:
    kept = {RtcpFeedback("nack", "pli"), RtcpFeedback("ccm", "fir")} | ({RtcpFeedback("nack")} if enable_rtx else set())
    piped = [extension for extension in extensions if extension.uri not in (MID, ABS_SEND_TIME, TRANSPORT_CC)]
    piped.append(_PIPED_DEPENDENCY_DESCRIPTOR)
    return (
        tuple(
            replace(codec, rtcp_feedback=tuple(feedback for feedback in codec.rtcp_feedback if feedback in kept))
            for codec in codecs
            if enable_rtx or subtype(codec.mime_type) != RTX
        ),
        tuple(sorted(piped, key=lambda extension: extension.id)),
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
