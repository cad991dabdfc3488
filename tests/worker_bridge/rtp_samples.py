"""RTP values as browsers and routers really have them, and a way to change one field deep inside."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from worker_bridge import ortc
from worker_bridge.capabilities import ABS_CAPTURE_TIME, ABS_SEND_TIME, MID, SSRC_AUDIO_LEVEL, TRANSPORT_CC
from worker_bridge.rtp import (
    MediaKind,
    ParameterValue,
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpMapping,
    RtpParameters,
    RtxParameters,
    parameters,
)

OPUS = RtpCodecCapability("audio", "audio/opus", 48000, channels=2)
PCMU = RtpCodecCapability("audio", "audio/PCMU", 8000)
TELEPHONE_EVENT = RtpCodecCapability("audio", "audio/telephone-event", 8000)
VP8 = RtpCodecCapability("video", "video/VP8", 90000)
VP9 = RtpCodecCapability("video", "video/VP9", 90000)
AV1 = RtpCodecCapability("video", "video/AV1", 90000)


def h264_codec(profile: str | None = None, mode: int | None = None, **named: ParameterValue) -> RtpCodecCapability:
    return RtpCodecCapability("video", "video/H264", 90000, parameters=h264_parameters(profile, mode, **named))


def h264_parameters(profile: str | None, mode: int | None, **named: ParameterValue) -> Any:
    given = {"profile-level-id": profile, "packetization-mode": mode, **named}
    return parameters({name: value for name, value in given.items() if value is not None})


ROUTER = ortc.router_capabilities([OPUS, PCMU, TELEPHONE_EVENT, VP8, VP9, AV1, h264_codec("42e01f", 1)])

NACK = RtcpFeedback("nack")
PLI = RtcpFeedback("nack", "pli")
FIR = RtcpFeedback("ccm", "fir")
REMB = RtcpFeedback("goog-remb")
CC = RtcpFeedback("transport-cc")


def codec(mime_type: str, payload_type: int, clock_rate: int = 90000, **named: Any) -> RtpCodecParameters:
    return RtpCodecParameters(mime_type, payload_type, clock_rate, **named)


def rtx(payload_type: int, apt: ParameterValue, clock_rate: int = 90000) -> RtpCodecParameters:
    return codec("video/rtx", payload_type, clock_rate, parameters=parameters(apt=apt))


def microphone() -> RtpParameters:
    """Chrome's, with mediasoup-client."""
    return RtpParameters(
        codecs=(
            codec(
                "audio/opus",
                111,
                48000,
                channels=2,
                parameters=parameters(minptime=10, useinbandfec=1, usedtx=1),
                rtcp_feedback=(CC, NACK),
            ),
        ),
        header_extensions=(
            RtpHeaderExtensionParameters(MID, 4),
            RtpHeaderExtensionParameters(ABS_SEND_TIME, 2),
            RtpHeaderExtensionParameters(TRANSPORT_CC, 3),
            RtpHeaderExtensionParameters(SSRC_AUDIO_LEVEL, 1),
        ),
        encodings=(RtpEncodingParameters(ssrc=1234567, dtx=True),),
        rtcp=RtcpParameters("Tqx3"),
        mid="0",
        msid="stream track",
    )


def camera(*codecs: RtpCodecParameters, encodings: tuple[RtpEncodingParameters, ...] | None = None) -> RtpParameters:
    """A browser's camera: VP8 with RTX and one stream, unless said otherwise."""
    return RtpParameters(
        codecs=codecs or (codec("video/VP8", 96, rtcp_feedback=(NACK, PLI, FIR, REMB, CC)), rtx(97, 96)),
        header_extensions=(RtpHeaderExtensionParameters(MID, 4), RtpHeaderExtensionParameters(ABS_CAPTURE_TIME, 9)),
        encodings=encodings or (RtpEncodingParameters(ssrc=2000, rtx=RtxParameters(2001)),),
        rtcp=RtcpParameters("Tqx3"),
        mid="1",
    )


def simulcast(*modes: str | None) -> tuple[RtpEncodingParameters, ...]:
    """Encodings r0, r1, ... of rising bit rates, by rid alone."""
    return tuple(
        RtpEncodingParameters(rid=f"r{index}", scalability_mode=mode, max_bitrate=100_000 * (index + 1))
        for index, mode in enumerate(modes)
    )


def changed(value: Any, path: str, new: Any) -> Any:
    """``value`` with another one at ``path``, as ``codecs.0.payload_type``."""
    head, _, rest = path.partition(".")
    if isinstance(value, tuple):
        index = int(head)
        return (*value[:index], changed(value[index], rest, new) if rest else new, *value[index + 1 :])
    return replace(value, **{head: changed(getattr(value, head), rest, new) if rest else new})


def produced(
    params: RtpParameters, router: RtpCapabilities = ROUTER, kind: MediaKind | None = None
) -> tuple[RtpParameters, RtpMapping, RtpParameters]:
    """What a transport does for a producer: its parameters, their mapping, and what can be consumed."""
    params = ortc.validate_parameters(params)
    params, mapping = ortc.producer_mapping(params, router)
    of_kind: MediaKind = kind or ("video" if params.codecs[0].mime_type.lower().startswith("video") else "audio")
    return params, mapping, ortc.consumable_parameters(of_kind, params, router, mapping)


def consumable(params: RtpParameters, router: RtpCapabilities = ROUTER) -> RtpParameters:
    return produced(params, router)[2]


def uris(params: RtpParameters) -> list[str]:
    return [extension.uri for extension in params.header_extensions]


def names(params: RtpParameters) -> list[tuple[str, int]]:
    return [(entry.mime_type, entry.payload_type) for entry in params.codecs]
