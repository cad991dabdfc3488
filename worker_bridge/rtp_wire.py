"""RTP values as the worker's schema shapes them (``rtpParameters.fbs``): dicts for the codec, and back from dumps.

Checks nothing: what is written here has been validated. Codecs and header extensions are written once and remembered,
so the dicts are shared: nobody may change one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from worker_bridge import capabilities
from worker_bridge.rtp import (
    CodecMapping,
    Parameters,
    ParameterValue,
    RtcpFeedback,
    RtcpParameters,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpMapping,
    RtpParameters,
    RtxParameters,
)
from worker_bridge.value import REMEMBERED

Wire = dict[str, Any]

HEADER_EXTENSION_NAMES: Final = {
    capabilities.MID: "Mid",
    capabilities.RTP_STREAM_ID: "RtpStreamId",
    capabilities.REPAIRED_RTP_STREAM_ID: "RepairRtpStreamId",
    capabilities.ABS_SEND_TIME: "AbsSendTime",
    capabilities.TRANSPORT_CC: "TransportWideCcDraft01",
    capabilities.SSRC_AUDIO_LEVEL: "SsrcAudioLevel",
    capabilities.DEPENDENCY_DESCRIPTOR: "DependencyDescriptor",
    capabilities.VIDEO_ORIENTATION: "VideoOrientation",
    capabilities.TIME_OFFSET: "TimeOffset",
    capabilities.ABS_CAPTURE_TIME: "AbsCaptureTime",
    capabilities.PLAYOUT_DELAY: "PlayoutDelay",
    capabilities.PACKET_ID: "MediasoupPacketId",
}
"""Header extensions by URI: on the wire they are an enum, so that one which is not here can't be said."""

_HEADER_EXTENSION_URIS: Final = {name: uri for uri, name in HEADER_EXTENSION_NAMES.items()}


def parameters_to_wire(params: RtpParameters) -> Wire:
    """``FBS.RtpParameters.RtpParameters``. The lists of codecs and header extensions are shared: not to be changed.

    ``rtcp.cname`` must be set by now, since the worker refuses parameters without.
    """
    wire: Wire = {
        "codecs": _codecs_to_wire(params.codecs),
        "header_extensions": _header_extensions_to_wire(params.header_extensions),
        "encodings": encodings_to_wire(params.encodings),
        "rtcp": {"cname": params.rtcp.cname, "reduced_size": params.rtcp.reduced_size},
    }
    if params.mid is not None:
        wire["mid"] = params.mid
    if params.msid is not None:
        wire["msid"] = params.msid
    return wire


def mapping_to_wire(mapping: RtpMapping) -> Wire:
    """``FBS.RtpParameters.RtpMapping``. The list of codecs is shared: not to be changed."""
    return {
        "codecs": _mapped_codecs_to_wire(mapping.codecs),
        "encodings": [
            {"rid": encoding.rid, "ssrc": encoding.ssrc, "mapped_ssrc": encoding.mapped_ssrc}
            for encoding in mapping.encodings
        ],
    }


def encodings_to_wire(encodings: Iterable[RtpEncodingParameters]) -> list[Wire]:
    """A list of ``FBS.RtpParameters.RtpEncodingParameters``, as a consume request's ``consumable_rtp_encodings``."""
    return [_encoding_to_wire(encoding) for encoding in encodings]


def parameters_from_wire(wire: Mapping[str, Any]) -> RtpParameters:
    """Parameters out of a dump, normalised as ``validate_parameters`` does it.

    A dump says ``""`` for what is absent, and leaves out that audio is mono; it does not tell ``max_bitrate``.
    """
    rtcp = wire.get("rtcp") or {}
    return RtpParameters(
        codecs=tuple(_codec_from_wire(codec) for codec in wire["codecs"]),
        header_extensions=tuple(_header_extension_from_wire(entry) for entry in wire.get("header_extensions") or ()),
        encodings=tuple(_encoding_from_wire(encoding) for encoding in wire.get("encodings") or ()),
        rtcp=RtcpParameters(rtcp.get("cname") or None, reduced_size=rtcp.get("reduced_size", True)),
        mid=wire.get("mid") or None,
        msid=wire.get("msid") or None,
    )


def _encoding_to_wire(encoding: RtpEncodingParameters) -> Wire:
    wire: Wire = {"dtx": encoding.dtx}
    if encoding.ssrc is not None:
        wire["ssrc"] = encoding.ssrc
    if encoding.rid is not None:
        wire["rid"] = encoding.rid
    if encoding.codec_payload_type is not None:
        wire["codec_payload_type"] = encoding.codec_payload_type
    if encoding.rtx is not None:
        wire["rtx"] = {"ssrc": encoding.rtx.ssrc}
    if encoding.scalability_mode is not None:
        wire["scalability_mode"] = encoding.scalability_mode
    if encoding.max_bitrate is not None:
        wire["max_bitrate"] = encoding.max_bitrate
    return wire


@lru_cache(REMEMBERED)
def _codecs_to_wire(codecs: tuple[RtpCodecParameters, ...]) -> list[Wire]:
    return [
        {
            "mime_type": codec.mime_type,
            "payload_type": codec.payload_type,
            "clock_rate": codec.clock_rate,
            "channels": codec.channels,
            "parameters": _parameters_to_wire(codec.parameters),
            "rtcp_feedback": [
                {"type": feedback.type, "parameter": feedback.parameter} for feedback in codec.rtcp_feedback
            ],
        }
        for codec in codecs
    ]


@lru_cache(REMEMBERED)
def _header_extensions_to_wire(extensions: tuple[RtpHeaderExtensionParameters, ...]) -> list[Wire]:
    return [
        {
            "uri": HEADER_EXTENSION_NAMES[extension.uri],
            "id": extension.id,
            "encrypt": extension.encrypt,
            "parameters": _parameters_to_wire(extension.parameters),
        }
        for extension in extensions
    ]


@lru_cache(REMEMBERED)
def _mapped_codecs_to_wire(codecs: tuple[CodecMapping, ...]) -> list[Wire]:
    return [{"payload_type": codec.payload_type, "mapped_payload_type": codec.mapped_payload_type} for codec in codecs]


def _parameters_to_wire(codec_parameters: Parameters) -> list[Wire]:
    return [{"name": name, **_value_to_wire(value)} for name, value in codec_parameters.items()]


def _value_to_wire(value: ParameterValue) -> Wire:
    """A member of the union ``Value``. Equal values give equal members: 1.0 is written as 1."""
    if isinstance(value, str):
        return {"value_type": "String", "value": {"value": value}}
    if isinstance(value, float) and not value.is_integer():
        return {"value_type": "Double", "value": {"value": value}}
    return {"value_type": "Integer32", "value": {"value": int(value)}}


def _codec_from_wire(wire: Mapping[str, Any]) -> RtpCodecParameters:
    mono = 1 if wire["mime_type"].lower().startswith("audio/") else None
    return RtpCodecParameters(
        mime_type=wire["mime_type"],
        payload_type=wire["payload_type"],
        clock_rate=wire["clock_rate"],
        channels=wire.get("channels") or mono,
        parameters=_parameters_from_wire(wire.get("parameters")),
        rtcp_feedback=tuple(
            RtcpFeedback(feedback["type"], feedback.get("parameter") or "")
            for feedback in wire.get("rtcp_feedback") or ()
        ),
    )


def _header_extension_from_wire(wire: Mapping[str, Any]) -> RtpHeaderExtensionParameters:
    return RtpHeaderExtensionParameters(
        uri=_HEADER_EXTENSION_URIS[wire["uri"]],
        id=wire["id"],
        encrypt=wire.get("encrypt", False),
        parameters=_parameters_from_wire(wire.get("parameters")),
    )


def _encoding_from_wire(wire: Mapping[str, Any]) -> RtpEncodingParameters:
    rtx = wire.get("rtx")
    return RtpEncodingParameters(
        ssrc=wire.get("ssrc"),
        rid=wire.get("rid") or None,
        codec_payload_type=wire.get("codec_payload_type"),
        rtx=RtxParameters(rtx["ssrc"]) if rtx else None,
        dtx=wire.get("dtx", False),
        scalability_mode=wire.get("scalability_mode") or None,
        max_bitrate=wire.get("max_bitrate"),
    )


def _parameters_from_wire(entries: Iterable[Mapping[str, Any]] | None) -> Parameters:
    return Parameters({entry["name"]: entry["value"]["value"] for entry in entries or ()})
