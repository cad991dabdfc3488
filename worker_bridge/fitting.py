"""What an endpoint can take of a producer, and how a consumer sends it: the consumers' part of ``ortc``.

What depends on codecs, header extensions and the endpoint's capabilities alone is put together once for two browser
versions, down to its form on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from worker_bridge import chance, rtp_wire
from worker_bridge._codec import Shared
from worker_bridge.capabilities import ABS_SEND_TIME, TRANSPORT_CC
from worker_bridge.codec_match import RTX, SIMULCAST_CODECS, is_media, matches, subtype
from worker_bridge.errors import Unsupported
from worker_bridge.memo import remembered
from worker_bridge.rtp import (
    RtpCapabilities,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
)
from worker_bridge.rtp_wire import Wire
from worker_bridge.scalability import parse_scalability_mode

SSRC_MIN: Final = 100_000_000
SSRC_SPAN: Final = 899_999_999  # random SSRCs have nine digits, and room for successors

Codecs = tuple[RtpCodecParameters, ...]
Extensions = tuple[RtpHeaderExtensionParameters, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What an endpoint of one browser version can take of the producers of another."""

    codecs: Codecs
    extensions: Extensions
    rtx: bool
    first_media: str | None  # subtype of the codec that the worker would send

    def can_send(self, consumable: RtpParameters) -> bool:
        """Comfort noise and DTMF are no call, and simulcast is forwarded for a few codecs only."""
        return self.first_media is not None and (len(consumable.encodings) == 1 or self.first_media in SIMULCAST_CODECS)

    def encodings(self, consumable: RtpParameters, *, pipe: bool) -> tuple[RtpEncodingParameters, ...]:
        """Those of one consumer, with random SSRCs. Raises ``Unsupported`` where there is no common media codec."""
        if not self.can_send(consumable):
            raise Unsupported("codecs: no media codec in common")
        if pipe:
            return pipe_encodings(consumable.encodings, with_rtx=self.rtx)
        return (_consumer_encoding(consumable.encodings, with_rtx=self.rtx),)

    def of(
        self, consumable: RtpParameters, encodings: tuple[RtpEncodingParameters, ...], mid: str | None = None
    ) -> RtpParameters:
        """The parameters of one consumer."""
        return RtpParameters(self.codecs, self.extensions, encodings, consumable.rtcp, mid, consumable.msid)

    def wire(self, parameters: RtpParameters) -> Wire:
        """``FBS.RtpParameters.RtpParameters`` of ``parameters``, which are ``of`` this. Parts of it are shared: not to
        be changed."""
        return rtp_wire.with_codecs(*_shared_wire(self.codecs, self.extensions), parameters)


@remembered
def _shared_wire(codecs: Codecs, extensions: Extensions) -> tuple[Shared, Shared]:
    return Shared(rtp_wire.codecs_to_wire(codecs)), Shared(rtp_wire.header_extensions_to_wire(extensions))


@remembered
def fit(codecs: Codecs, extensions: Extensions, remote: RtpCapabilities, enable_rtx: bool) -> Fitted:
    """The part of ``ortc.consumer_parameters`` that depends on codecs and header extensions alone."""
    common: list[RtpCodecParameters] = []
    for codec in codecs:
        if not enable_rtx and subtype(codec.mime_type) == RTX:
            continue
        match = next((cap for cap in remote.codecs if matches(cap, codec, strict=True)), None)
        if match is not None:
            common.append(replace(codec, rtcp_feedback=match.rtcp_feedback))
    media = {codec.payload_type for codec in common if subtype(codec.mime_type) != RTX}
    common = [codec for codec in common if codec.payload_type in media or codec.parameters.get("apt") in media]
    known = {(extension.preferred_id, extension.uri) for extension in remote.header_extensions}
    shared = tuple(extension for extension in extensions if (extension.id, extension.uri) in known)
    dropped = _unused_congestion_control({extension.uri for extension in shared})
    fitted = tuple(
        replace(
            codec,
            rtcp_feedback=tuple(
                feedback
                for feedback in codec.rtcp_feedback
                if feedback.type not in dropped and (enable_rtx or feedback.type != "nack" or feedback.parameter)
            ),
        )
        for codec in common
    )
    return Fitted(
        fitted,
        shared,
        rtx=len(media) < len(common),
        first_media=next((subtype(codec.mime_type) for codec in common if is_media(codec.mime_type)), None),
    )


def _unused_congestion_control(uris: set[str]) -> tuple[str, ...]:
    if TRANSPORT_CC in uris:
        return ("goog-remb",)
    if ABS_SEND_TIME in uris:
        return ("transport-cc",)
    return ("goog-remb", "transport-cc")


def _consumer_encoding(encodings: tuple[RtpEncodingParameters, ...], *, with_rtx: bool) -> RtpEncodingParameters:
    ssrc = random_ssrc()
    rtx = RtxParameters(ssrc + 1) if with_rtx else None
    if len(encodings) == 1:
        [one] = encodings
        return RtpEncodingParameters(
            ssrc, None, None, rtx, False, one.scalability_mode or None, one.max_bitrate or None
        )
    mode = next((encoding.scalability_mode for encoding in encodings if encoding.scalability_mode), None)
    layers = f"L{len(encodings)}T{parse_scalability_mode(mode).temporal_layers}"  # a stream is a spatial layer
    bitrate = max(encoding.max_bitrate or 0 for encoding in encodings) or None
    return RtpEncodingParameters(ssrc, None, None, rtx, False, layers, bitrate)


def pipe_encodings(
    encodings: tuple[RtpEncodingParameters, ...], *, with_rtx: bool
) -> tuple[RtpEncodingParameters, ...]:
    ssrc, rtx_ssrc = random_ssrc(), random_ssrc()
    while abs(ssrc - rtx_ssrc) < len(encodings):  # the two runs must not meet
        rtx_ssrc = random_ssrc()
    return tuple(
        replace(encoding, ssrc=ssrc + index, rtx=RtxParameters(rtx_ssrc + index) if with_rtx else None)
        for index, encoding in enumerate(encodings)
    )


def random_ssrc() -> int:
    return SSRC_MIN + chance.number_below(SSRC_SPAN)
