"""What a consumer sends: how the parameters of a producer fit an endpoint, or another router (ORTC's rules).

What depends on codecs, header extensions and the endpoint's capabilities alone is the same for all consumers of one
browser version, and put together once. Knows no transport, and so no MIDs.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from worker_bridge.capabilities import ABS_SEND_TIME, DEPENDENCY_DESCRIPTOR, MID, SUPPORTED, TRANSPORT_CC
from worker_bridge.codec_match import RTX, SIMULCAST_CODECS, is_media, matches, subtype
from worker_bridge.errors import Unsupported
from worker_bridge.ortc_validate import validate_capabilities
from worker_bridge.rtp import (
    Codecs,
    HeaderExtensions,
    RtcpFeedback,
    RtpCapabilities,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
)
from worker_bridge.scalability import parse_scalability_mode
from worker_bridge.value import REMEMBERED

SSRC_MIN: Final = 100_000_000
SSRC_SPAN: Final = 899_999_999  # random SSRCs have nine digits, and room for successors

# The router takes it from producers but does not offer it, and routers that are piped together want it all the same.
_PIPED_DEPENDENCY_DESCRIPTOR: Final = next(
    RtpHeaderExtensionParameters(extension.uri, extension.preferred_id, extension.preferred_encrypt)
    for extension in SUPPORTED.header_extensions
    if extension.uri == DEPENDENCY_DESCRIPTOR
)


def can_consume(consumable: RtpParameters, caps: RtpCapabilities) -> bool:
    """Whether an endpoint of ``caps`` can receive any media codec of a producer.

    Comfort noise and DTMF are no call, and simulcast is forwarded for a few codecs only. Raises InvalidParameters where
    the capabilities are wrong.
    """
    return _can_send(_common(consumable.codecs, consumable.header_extensions, validate_capabilities(caps)), consumable)


def consumer_parameters(
    consumable: RtpParameters, remote: RtpCapabilities, *, pipe: bool = False, enable_rtx: bool = False
) -> RtpParameters:
    """The parameters of a consumer for an endpoint of ``remote``: one encoding, or with ``pipe`` all of them.

    RTCP feedback is the endpoint's, without plain NACK unless ``enable_rtx``; of the two congestion controls one stays:
    transport-cc where its header extension is common, else REMB where abs-send-time is. SSRCs are random; ``mid`` is
    left to the transport. Raises Unsupported where there is no common media codec, InvalidParameters where the
    capabilities are wrong.
    """
    common = _common(consumable.codecs, consumable.header_extensions, validate_capabilities(remote), enable_rtx)
    if not _can_send(common, consumable):
        raise Unsupported("codecs: no media codec in common")
    encodings_of = _pipe_encodings if pipe else _consumer_encodings
    encodings = encodings_of(consumable.encodings, with_rtx=common.rtx)
    return RtpParameters(common.codecs, common.header_extensions, encodings, consumable.rtcp, None, consumable.msid)


def pipe_consumer_parameters(consumable: RtpParameters, *, enable_rtx: bool) -> RtpParameters:
    """The parameters of a consumer for another router: all encodings, no MID, no bandwidth estimation.

    Without ``enable_rtx`` there is neither RTX nor NACK.
    """
    codecs, extensions = _piped(consumable.codecs, consumable.header_extensions, enable_rtx)
    encodings = _pipe_encodings(consumable.encodings, with_rtx=enable_rtx)
    return RtpParameters(codecs, extensions, encodings, consumable.rtcp, None, consumable.msid)


def random_ssrc() -> int:
    """RFC 3550 §8.1, which asks for few collisions and no secret."""
    return SSRC_MIN + int(random.random() * SSRC_SPAN)  # noqa: S311


class _Common(msgspec.Struct, frozen=True):
    """What a producer and an endpoint have in common."""

    codecs: Codecs
    header_extensions: HeaderExtensions
    rtx: bool
    first_media: str | None  # subtype of the codec that the worker would send


def _can_send(common: _Common, consumable: RtpParameters) -> bool:
    return common.first_media is not None and (len(consumable.encodings) == 1 or common.first_media in SIMULCAST_CODECS)


@lru_cache(REMEMBERED)
def _common(codecs: Codecs, extensions: HeaderExtensions, remote: RtpCapabilities, enable_rtx: bool = False) -> _Common:
    common = _common_codecs(codecs, remote, enable_rtx)
    known = {(extension.preferred_id, extension.uri) for extension in remote.header_extensions}
    shared = tuple(extension for extension in extensions if (extension.id, extension.uri) in known)
    dropped = _unused_congestion_control({extension.uri for extension in shared})
    return _Common(
        tuple(_with_feedback(codec, dropped, enable_rtx) for codec in common),
        shared,
        rtx=any(subtype(codec.mime_type) == RTX for codec in common),
        first_media=next((subtype(codec.mime_type) for codec in common if is_media(codec.mime_type)), None),
    )


def _common_codecs(codecs: Codecs, remote: RtpCapabilities, enable_rtx: bool) -> list[RtpCodecParameters]:
    """With the endpoint's feedback; RTX only behind what it retransmits (RFC 4588 §8.1)."""
    common: list[RtpCodecParameters] = []
    for codec in codecs:
        if not enable_rtx and subtype(codec.mime_type) == RTX:
            continue
        match = next((cap for cap in remote.codecs if matches(cap, codec, strict=True)), None)
        if match is not None:
            common.append(replace(codec, rtcp_feedback=match.rtcp_feedback))
    media = {codec.payload_type for codec in common if subtype(codec.mime_type) != RTX}
    return [codec for codec in common if codec.payload_type in media or codec.parameters.get("apt") in media]


def _with_feedback(codec: RtpCodecParameters, dropped: tuple[str, ...], enable_rtx: bool) -> RtpCodecParameters:
    kept = tuple(
        feedback
        for feedback in codec.rtcp_feedback
        if feedback.type not in dropped and (enable_rtx or feedback.type != "nack" or feedback.parameter)
    )
    return replace(codec, rtcp_feedback=kept)


def _unused_congestion_control(uris: set[str]) -> tuple[str, ...]:
    if TRANSPORT_CC in uris:
        return ("goog-remb",)
    if ABS_SEND_TIME in uris:
        return ("transport-cc",)
    return ("goog-remb", "transport-cc")


def _consumer_encodings(
    encodings: tuple[RtpEncodingParameters, ...], *, with_rtx: bool
) -> tuple[RtpEncodingParameters, ...]:
    """The one in which a consumer sends any of ``encodings``, as layers where there are several."""
    ssrc = random_ssrc()
    rtx = RtxParameters(ssrc + 1) if with_rtx else None
    if len(encodings) == 1:
        [one] = encodings
        mode, bitrate = one.scalability_mode or None, one.max_bitrate or None
        return (RtpEncodingParameters(ssrc, None, None, rtx, False, mode, bitrate),)
    mode = next((encoding.scalability_mode for encoding in encodings if encoding.scalability_mode), None)
    layers = f"L{len(encodings)}T{parse_scalability_mode(mode).temporal_layers}"  # a stream is a spatial layer
    bitrate = max(encoding.max_bitrate or 0 for encoding in encodings) or None
    return (RtpEncodingParameters(ssrc, None, None, rtx, False, layers, bitrate),)


def _pipe_encodings(
    encodings: tuple[RtpEncodingParameters, ...], *, with_rtx: bool
) -> tuple[RtpEncodingParameters, ...]:
    ssrc, rtx_ssrc = random_ssrc(), random_ssrc()
    while abs(ssrc - rtx_ssrc) < len(encodings):  # the two runs must not meet
        rtx_ssrc = random_ssrc()
    return tuple(
        replace(encoding, ssrc=ssrc + index, rtx=RtxParameters(rtx_ssrc + index) if with_rtx else None)
        for index, encoding in enumerate(encodings)
    )


@lru_cache(REMEMBERED)
def _piped(codecs: Codecs, extensions: HeaderExtensions, enable_rtx: bool) -> tuple[Codecs, HeaderExtensions]:
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
