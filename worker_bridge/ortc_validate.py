"""Which RTP values may come near the worker: the checks of ``RtpParameters`` and ``RtpCapabilities``.

The worker verifies next to nothing, and what it does refuse it refuses in its own words; so everything is refused here
first, with the path of the field as JSON spells it. Codecs and header extensions are the same for every client of one
browser version: they are checked once, and found again by content. Equality would not do for that, since ``True`` and
``1.0`` equal 1 and only one of the three is right; MessagePack tells them apart. What is a request's own is checked
every time. Knows no router: whether a codec can be routed is the business of ``ortc``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, get_args

import msgspec
from msgspec.structs import replace

from worker_bridge.checks import (
    INT32_MAX,
    UINT8_MAX,
    UINT32_MAX,
    instance,
    integer,
    refuse,
    sequence,
    short_text,
    show,
    text,
)
from worker_bridge.codec_match import LAYERED_CODECS, RTX, SIMULCAST_CODECS, is_media, subtype
from worker_bridge.rtp import (
    Direction,
    MediaKind,
    Parameters,
    ParameterValue,
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
    read_hook,
)
from worker_bridge.rtp_fbs import HEADER_EXTENSION_NAMES
from worker_bridge.scalability import parse_scalability_mode
from worker_bridge.value import REMEMBERED

PAYLOAD_TYPE_MAX: Final = 127  # RFC 3550 §5.1: 7 bits
BITRATE_MAX: Final = 2**63 - 1  # bits per second; the worker's own type is signed
LIST_LIMIT: Final = 64  # parameters or feedback messages of a codec
CODECS_LIMIT: Final = 256  # of capabilities; parameters have no more than there are payload types
ENCODINGS_LIMIT: Final = 8  # simulcast streams; browsers send three
LAYERS_LIMIT: Final = 8  # of each dimension: a layer's number has at most three bits in VP9 and AV1

_MIME_TYPE: Final = re.compile(r"(audio|video)/([!#-'*+.^_`|~0-9a-z-]{1,64})", re.IGNORECASE | re.ASCII)
_SCALABILITY_MODE: Final = re.compile(r"[LS][1-9][0-9]?T[1-9][0-9]?[0-9A-Za-z_]{0,16}")
_PLAIN_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_DIRECTIONS: Final = get_args(Direction)
_KINDS: Final[dict[str, MediaKind]] = {"audio": "audio", "video": "video"}


class _Shape(msgspec.Struct, frozen=True):
    """The checked part of parameters that all clients of one browser version have in common."""

    codecs: tuple[RtpCodecParameters, ...]
    header_extensions: tuple[RtpHeaderExtensionParameters, ...]
    kind: MediaKind
    media: dict[int, str]  # payload type -> lower-case subtype, of the codecs that carry media
    first_media: str


def validate_parameters(params: RtpParameters, kind: MediaKind | None = None) -> RtpParameters:
    """``params`` with defaults filled in; parameters with equal codecs and extensions share those of the first.

    Defaults: mono where audio gives no ``channels``, none for video; empty ``mid``, ``msid``, ``rid``, ``cname``
    and ``scalability_mode`` are as absent (mediasoup-client says ``""`` where the SDP has no CNAME); whole floats are
    integers; RTCP is always of reduced size. ``kind``, where given, must be that of the codecs, which all have one.

    Raises InvalidParameters where a value is wrong; the text starts with its path: ``codecs.0.payloadType: ...``.
    """
    instance("rtpParameters", params, RtpParameters)
    shape = _shape(params.codecs, params.header_extensions)
    if kind is not None and shape.kind != kind:
        refuse("codecs.0.mimeType", f"{shape.kind} codecs can't be {kind}")
    mid = short_text("mid", params.mid) if params.mid else None
    msid = text("msid", params.msid) if params.msid else None
    encodings = _check_encodings(params.encodings, shape)
    if mid is None and encodings[0].ssrc is None and not encodings[0].rid:
        refuse("encodings.0", "packets can't be recognised without mid, ssrc or rid")
    instance("rtcp", params.rtcp, RtcpParameters)
    cname = short_text("rtcp.cname", params.rtcp.cname) if params.rtcp.cname else None
    return RtpParameters(shape.codecs, shape.header_extensions, encodings, RtcpParameters(cname, True), mid, msid)


def validate_capabilities(caps: RtpCapabilities) -> RtpCapabilities:
    """``caps`` with defaults filled in, as for parameters; ``kind`` is that of the MIME type.

    Header extensions that the worker doesn't know are kept: they only never match. Equal capabilities come back as
    one object. Raises InvalidParameters where a value is wrong; the text starts with its path.
    """
    instance("rtpCapabilities", caps, RtpCapabilities)
    try:
        return _known_capabilities(_ENCODER.encode(caps))
    except _UNKNOWN:
        return _check_capabilities(caps)


# What a request has of its own.


def _check_encodings(encodings: tuple[RtpEncodingParameters, ...], shape: _Shape) -> tuple[RtpEncodingParameters, ...]:
    sequence("encodings", encodings)
    if len(encodings) == 1:
        encoding = _check_encoding("encodings.0", encodings[0], shape, single=True)
        if encoding.rtx is not None and encoding.rtx.ssrc == encoding.ssrc:
            refuse("encodings.0.rtx.ssrc", "equals encodings.0.ssrc")
        return (encoding,)
    if not encodings:
        refuse("encodings", "must not be empty")
    if len(encodings) > ENCODINGS_LIMIT:
        refuse("encodings", f"more than {ENCODINGS_LIMIT}")
    seen: dict[int | str, str] = {}
    for index, encoding in enumerate(encodings):
        path = f"encodings.{index}"
        instance(path, encoding, RtpEncodingParameters)
        if encoding.ssrc is None and not encoding.rid:
            refuse(path, "simulcast needs ssrc or rid in every encoding")
        for name in ("ssrc", "rtx.ssrc", "rid"):
            value: int | str | None = getattr(encoding, name.replace(".", "_"))
            if value not in (None, "") and (twin := seen.setdefault(value, f"{path}.{name}")) != f"{path}.{name}":
                refuse(f"{path}.{name}", f"equals {twin}")
    return tuple(
        _check_encoding(f"encodings.{index}", encoding, shape, single=False) for index, encoding in enumerate(encodings)
    )


def _check_encoding(
    path: str, encoding: RtpEncodingParameters, shape: _Shape, *, single: bool
) -> RtpEncodingParameters:
    instance(path, encoding, RtpEncodingParameters)
    if encoding.ssrc is not None:  # to the worker, an SSRC of 0 is none
        integer(f"{path}.ssrc", encoding.ssrc, 1, UINT32_MAX)
    if encoding.rid:
        short_text(f"{path}.rid", encoding.rid)
    if encoding.rtx is not None:
        instance(f"{path}.rtx", encoding.rtx, RtxParameters)
        integer(f"{path}.rtx.ssrc", encoding.rtx.ssrc, 1, UINT32_MAX)
    if type(encoding.dtx) is not bool:
        refuse(f"{path}.dtx", "must be a boolean")
    if encoding.max_bitrate is not None:
        integer(f"{path}.maxBitrate", encoding.max_bitrate, 0, BITRATE_MAX)
    codec = shape.first_media
    if encoding.codec_payload_type is not None:
        codec = _encoded_with(path, encoding.codec_payload_type, shape)
    if not single and codec not in SIMULCAST_CODECS:
        refuse("encodings", f"the worker has no simulcast for {codec}")
    if encoding.scalability_mode:
        _check_scalability(f"{path}.scalabilityMode", encoding.scalability_mode, codec, single=single)
    if encoding.rid == "" or encoding.scalability_mode == "":
        return replace(encoding, rid=encoding.rid or None, scalability_mode=encoding.scalability_mode or None)
    return encoding


def _encoded_with(path: str, payload_type: int, shape: _Shape) -> str:
    """The codec that an encoding names."""
    integer(f"{path}.codecPayloadType", payload_type, 0, PAYLOAD_TYPE_MAX)
    if payload_type not in shape.media:
        refuse(f"{path}.codecPayloadType", f"{payload_type} is no media codec of these parameters")
    return shape.media[payload_type]


def _check_scalability(path: str, mode: str, codec: str, *, single: bool) -> None:
    """A mode that the worker could take: its regular expression recurses for each character, so length matters."""
    if not isinstance(mode, str) or _SCALABILITY_MODE.fullmatch(mode) is None:
        refuse(path, f"{show(mode)} is no scalability mode")
    layers = parse_scalability_mode(mode)
    if max(layers.spatial_layers, layers.temporal_layers) > LAYERS_LIMIT:
        refuse(path, f"more than {LAYERS_LIMIT} layers")
    if layers.spatial_layers > 1 and not single:
        refuse(path, "simulcast encodings have one spatial layer each")
    if layers.spatial_layers * layers.temporal_layers > 1 and codec not in LAYERED_CODECS:
        refuse(path, f"{codec} has no layers")


# What a browser version has in common.


def _check_shape(
    codecs: tuple[RtpCodecParameters, ...], header_extensions: tuple[RtpHeaderExtensionParameters, ...]
) -> _Shape:
    sequence("codecs", codecs)
    if not codecs:
        refuse("codecs", "must not be empty")
    if len(codecs) > PAYLOAD_TYPE_MAX + 1:
        refuse("codecs", "more than there are payload types")
    checked = tuple(_check_codec(f"codecs.{index}", codec) for index, codec in enumerate(codecs))
    kind = _KINDS[checked[0].mime_type.partition("/")[0].lower()]
    by_payload_type: dict[int, RtpCodecParameters] = {}
    for index, codec in enumerate(checked):
        if not codec.mime_type.lower().startswith(kind):
            refuse(f"codecs.{index}.mimeType", f"{show(codec.mime_type)} among {kind} codecs")
        if by_payload_type.setdefault(codec.payload_type, codec) is not codec:
            refuse(f"codecs.{index}.payloadType", f"{codec.payload_type} is used twice")
    for index, codec in enumerate(checked):
        if subtype(codec.mime_type) == RTX:
            _check_rtx(f"codecs.{index}", codec, by_payload_type)
    media = {codec.payload_type: subtype(codec.mime_type) for codec in checked if is_media(codec.mime_type)}
    if not media:
        refuse("codecs", "there is no media codec")
    extensions = _check_header_extensions(header_extensions)
    return _Shape(checked, extensions, kind, media, next(iter(media.values())))


def _check_codec(path: str, codec: RtpCodecParameters) -> RtpCodecParameters:
    instance(path, codec, RtpCodecParameters)
    mime = _mime_type(f"{path}.mimeType", codec.mime_type)
    integer(f"{path}.payloadType", codec.payload_type, 0, PAYLOAD_TYPE_MAX)
    integer(f"{path}.clockRate", codec.clock_rate, 1, UINT32_MAX)
    channels = _channels(path, _KINDS[mime[1].lower()], codec.channels)
    codec_parameters = _check_parameters(path, codec.parameters)
    _check_feedback(path, codec.rtcp_feedback)
    return replace(codec, channels=channels, parameters=codec_parameters)


def _check_rtx(path: str, codec: RtpCodecParameters, by_payload_type: dict[int, RtpCodecParameters]) -> None:
    """RFC 4588 §8.1: ``apt`` names the retransmitted payload type, whose clock rate is also that of RTX."""
    apt = codec.parameters.get("apt")
    if apt is None:
        refuse(f"{path}.parameters.apt", "missing")
    media = by_payload_type.get(apt) if isinstance(apt, int) else None
    if media is None or not is_media(media.mime_type):
        refuse(f"{path}.parameters.apt", f"{show(apt)} is no media codec of these parameters")
    if media.clock_rate != codec.clock_rate:
        refuse(f"{path}.clockRate", f"differs from that of payload type {media.payload_type}")


def _check_header_extensions(
    extensions: tuple[RtpHeaderExtensionParameters, ...],
) -> tuple[RtpHeaderExtensionParameters, ...]:
    sequence("headerExtensions", extensions)
    ids: set[int] = set()
    uris: set[str] = set()
    checked = []
    for index, extension in enumerate(extensions):
        path = f"headerExtensions.{index}"
        instance(path, extension, RtpHeaderExtensionParameters)
        if text(f"{path}.uri", extension.uri) not in HEADER_EXTENSION_NAMES:
            refuse(f"{path}.uri", f"{show(extension.uri)} is not supported")
        if extension.uri in uris:
            refuse(f"{path}.uri", f"{extension.uri} is used twice")
        if integer(f"{path}.id", extension.id, 1, UINT8_MAX) in ids:
            refuse(f"{path}.id", f"{extension.id} is used twice")
        if type(extension.encrypt) is not bool:
            refuse(f"{path}.encrypt", "must be a boolean")
        ids.add(extension.id)
        uris.add(extension.uri)
        checked.append(replace(extension, parameters=_check_parameters(path, extension.parameters)))
    return tuple(checked)


def _check_capabilities(caps: RtpCapabilities) -> RtpCapabilities:
    for name, entries in (("codecs", caps.codecs), ("headerExtensions", caps.header_extensions)):
        sequence(name, entries)
        if len(entries) > CODECS_LIMIT:
            refuse(name, f"more than {CODECS_LIMIT}")
    for index, extension in enumerate(caps.header_extensions):
        path = f"headerExtensions.{index}"
        instance(path, extension, RtpHeaderExtension)
        if extension.kind is not None and extension.kind not in ("audio", "video"):
            refuse(f"{path}.kind", f"{show(extension.kind)} is neither audio nor video")
        text(f"{path}.uri", extension.uri)
        integer(f"{path}.preferredId", extension.preferred_id, 1, UINT8_MAX)
        if type(extension.preferred_encrypt) is not bool:
            refuse(f"{path}.preferredEncrypt", "must be a boolean")
        if extension.direction not in _DIRECTIONS:
            refuse(f"{path}.direction", f"{show(extension.direction)} is no direction")
    codecs = tuple(_check_codec_capability(f"codecs.{index}", codec) for index, codec in enumerate(caps.codecs))
    return RtpCapabilities(codecs, tuple(caps.header_extensions))


def _check_codec_capability(path: str, codec: RtpCodecCapability) -> RtpCodecCapability:
    instance(path, codec, RtpCodecCapability)
    mime = _mime_type(f"{path}.mimeType", codec.mime_type)
    kind = _KINDS[mime[1].lower()]
    if codec.preferred_payload_type is not None:
        integer(f"{path}.preferredPayloadType", codec.preferred_payload_type, 0, PAYLOAD_TYPE_MAX)
    integer(f"{path}.clockRate", codec.clock_rate, 1, UINT32_MAX)
    channels = _channels(path, kind, codec.channels)
    codec_parameters = _check_parameters(path, codec.parameters)
    _check_feedback(path, codec.rtcp_feedback)
    return replace(codec, kind=kind, channels=channels, parameters=codec_parameters)


# Found again by content.


_ENCODER: Final = msgspec.msgpack.Encoder()
_CAPABILITIES: Final = msgspec.msgpack.Decoder(RtpCapabilities, dec_hook=read_hook)
_PARTS: Final = msgspec.msgpack.Decoder(
    tuple[tuple[RtpCodecParameters, ...], tuple[RtpHeaderExtensionParameters, ...]], dec_hook=read_hook
)


_UNKNOWN: Final = (msgspec.ValidationError, TypeError, ValueError, OverflowError, RecursionError)
"""Raised for what is of a wrong type, or nothing that MessagePack can hold: what is wrong, the checks say better."""


def _shape(
    codecs: tuple[RtpCodecParameters, ...], header_extensions: tuple[RtpHeaderExtensionParameters, ...]
) -> _Shape:
    try:
        return _known_shape(_ENCODER.encode((codecs, header_extensions)))
    except _UNKNOWN:
        return _check_shape(codecs, header_extensions)


@lru_cache(REMEMBERED)
def _known_shape(encoded: bytes) -> _Shape:
    return _check_shape(*_PARTS.decode(encoded))


@lru_cache(REMEMBERED)
def _known_capabilities(encoded: bytes) -> RtpCapabilities:
    return _check_capabilities(_CAPABILITIES.decode(encoded))


# Fields.


def _channels(path: str, kind: MediaKind, channels: int | None) -> int | None:
    if kind == "video":
        return None
    return 1 if channels is None else integer(f"{path}.channels", channels, 1, UINT8_MAX)


def _check_parameters(path: str, codec_parameters: Parameters) -> Parameters:
    if not isinstance(codec_parameters, Mapping):
        refuse(f"{path}.parameters", f"must be a mapping, not {type(codec_parameters).__name__}")
    if len(codec_parameters) > LIST_LIMIT:
        refuse(f"{path}.parameters", f"more than {LIST_LIMIT}")
    checked: dict[str, ParameterValue] = {}
    for name, value in codec_parameters.items():
        plain = isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None
        here = f"{path}.parameters.{name}" if plain else f"{path}.parameters"  # a path has no room for odd characters
        if name:
            text(here, name)
        checked[name] = _parameter_value(here, value, apt=name == "apt")
    return Parameters(checked)


def _parameter_value(path: str, value: ParameterValue, *, apt: bool) -> ParameterValue:
    """A string, an int32, or a double; whole floats are integers, as they are in JavaScript. ``apt`` is an integer."""
    if isinstance(value, str) and not apt:
        return text(path, value) if value else value
    if isinstance(value, float) and math.isfinite(value) and (value.is_integer() or not apt):
        if not value.is_integer():
            return value
        value = int(value)
    if type(value) is not int or not -INT32_MAX - 1 <= value <= INT32_MAX:
        refuse(path, f"{show(value)} is no {'' if apt else 'string, finite number or '}32 bit integer")
    return value


def _check_feedback(path: str, messages: tuple[RtcpFeedback, ...]) -> None:
    sequence(f"{path}.rtcpFeedback", messages)
    if len(messages) > LIST_LIMIT:
        refuse(f"{path}.rtcpFeedback", f"more than {LIST_LIMIT}")
    for index, message in enumerate(messages):
        instance(f"{path}.rtcpFeedback.{index}", message, RtcpFeedback)
        text(f"{path}.rtcpFeedback.{index}.type", message.type)
        if message.parameter != "":
            text(f"{path}.rtcpFeedback.{index}.parameter", message.parameter)


def _mime_type(path: str, value: str) -> re.Match[str]:
    match = _MIME_TYPE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        refuse(path, f"{show(value)} is no audio or video MIME type")
    return match
