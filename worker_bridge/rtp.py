"""RTP's vocabulary as values: capabilities and parameters (the ORTC dictionaries of W3C, as mediasoup shapes them).

Everything here is frozen and hashable, so that it can be shared, compared and used as a cache key. Knows no JSON
(that is the business of whoever owns the border) and no pipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MediaKind = Literal["audio", "video"]
RtpType = Literal["simple", "simulcast", "svc", "pipe"]
"""One stream; several streams of one source; one stream of several layers; all streams of a producer, as they are."""
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
ParameterValue = str | int | float
Parameters = tuple[tuple[str, ParameterValue], ...]
"""Codec or header extension parameters: (name, value) pairs, sorted by name. Booleans are no values (RFC 4855 fmtp)."""


def parameters(values: dict[str, ParameterValue] | None = None, /, **named: ParameterValue) -> Parameters:
    """The pairs of a mapping in the order that makes equal mappings equal tuples."""
    return tuple(sorted({**(values or {}), **named}.items()))


@dataclass(frozen=True, slots=True)
class RtcpFeedback:
    """One RTCP feedback message that a codec understands (RFC 4585 §4.2)."""

    type: str
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class RtpCodecCapability:
    """A codec that an endpoint or a router supports. ``preferred_payload_type`` is None until one is assigned."""

    kind: MediaKind
    mime_type: str
    clock_rate: int
    preferred_payload_type: int | None = None
    channels: int | None = None
    parameters: Parameters = ()
    rtcp_feedback: tuple[RtcpFeedback, ...] = ()


@dataclass(frozen=True, slots=True)
class RtpHeaderExtension:
    """A header extension that an endpoint or a router supports (RFC 8285). ``kind`` None means both kinds."""

    uri: str
    preferred_id: int
    kind: MediaKind | None = None
    preferred_encrypt: bool = False
    direction: Direction = "sendrecv"


@dataclass(frozen=True, slots=True)
class RtpCapabilities:
    """What an endpoint or a router can receive, the first codec preferred."""

    codecs: tuple[RtpCodecCapability, ...] = ()
    header_extensions: tuple[RtpHeaderExtension, ...] = ()


@dataclass(frozen=True, slots=True)
class RtpCodecParameters:
    """A codec in use: what ``payload_type`` means in one stream."""

    mime_type: str
    payload_type: int
    clock_rate: int
    channels: int | None = None
    parameters: Parameters = ()
    rtcp_feedback: tuple[RtcpFeedback, ...] = ()


@dataclass(frozen=True, slots=True)
class RtpHeaderExtensionParameters:
    """A header extension in use: what ``id`` means in one stream (RFC 8285 §5)."""

    uri: str
    id: int
    encrypt: bool = False
    parameters: Parameters = ()


@dataclass(frozen=True, slots=True)
class RtpEncodingParameters:
    """One encoding of a stream. ``max_bitrate`` is in bits per second."""

    ssrc: int | None = None
    rid: str | None = None
    codec_payload_type: int | None = None
    rtx_ssrc: int | None = None
    dtx: bool = False
    scalability_mode: str | None = None
    max_bitrate: int | None = None


@dataclass(frozen=True, slots=True)
class RtcpParameters:
    """How one end does RTCP: its CNAME (RFC 3550 §6.5.1), and whether packets may be of reduced size (RFC 5506)."""

    cname: str | None = None
    reduced_size: bool = True


@dataclass(frozen=True, slots=True)
class RtpParameters:
    """What one producer sends, or one consumer receives."""

    codecs: tuple[RtpCodecParameters, ...]
    header_extensions: tuple[RtpHeaderExtensionParameters, ...] = ()
    encodings: tuple[RtpEncodingParameters, ...] = ()
    rtcp: RtcpParameters = field(default_factory=RtcpParameters)
    mid: str | None = None
    msid: str | None = None


@dataclass(frozen=True, slots=True)
class CodecMapping:
    payload_type: int
    mapped_payload_type: int


@dataclass(frozen=True, slots=True)
class EncodingMapping:
    mapped_ssrc: int
    ssrc: int | None = None
    rid: str | None = None
    scalability_mode: str | None = None


@dataclass(frozen=True, slots=True)
class RtpMapping:
    """How a producer's own payload types and SSRCs become the router's."""

    codecs: tuple[CodecMapping, ...]
    encodings: tuple[EncodingMapping, ...]
