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

Table = dict[str, Any]

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
"""Header extensions by URI. The schema has an enum of them: the worker can't be told of one that is not here."""

_HEADER_EXTENSION_URIS: Final = {name: uri for uri, name in HEADER_EXTENSION_NAMES.items()}


def parameters_to_fbs(params: RtpParameters) -> Table:
    """``FBS.RtpParameters.RtpParameters``. The lists of codecs and header extensions are shared: not to be changed.

    ``rtcp.cname`` must be set by now, since the worker refuses parameters without.
    """
    table: Table = {
        "codecs": _codecs_to_fbs(params.codecs),
        "header_extensions": _header_extensions_to_fbs(params.header_extensions),
        "encodings": [_encoding_to_fbs(encoding) for encoding in params.encodings],
        "rtcp": {"cname": params.rtcp.cname, "reduced_size": params.rtcp.reduced_size},
    }
    if params.mid is not None:
        table["mid"] = params.mid
    if params.msid is not None:
        table["msid"] = params.msid
    return table


def mapping_to_fbs(mapping: RtpMapping) -> Table:
    """``FBS.RtpParameters.RtpMapping``. The list of codecs is shared: not to be changed."""
    return {
        "codecs": _mapped_codecs_to_fbs(mapping.codecs),
        "encodings": [
            {"rid": encoding.rid, "ssrc": encoding.ssrc, "mapped_ssrc": encoding.mapped_ssrc}
            for encoding in mapping.encodings
        ],
    }


def encodings_to_fbs(encodings: Iterable[RtpEncodingParameters]) -> list[Table]:
    """A list of ``FBS.RtpParameters.RtpEncodingParameters``, as a consume request's ``consumable_rtp_encodings``."""
    return [_encoding_to_fbs(encoding) for encoding in encodings]


def parameters_from_fbs(table: Mapping[str, Any]) -> RtpParameters:
    """Parameters out of a dump, normalised as ``validate_parameters`` does it.

    A dump says ``""`` for what is absent, and leaves out that audio is mono; it does not tell ``max_bitrate``.
    """
    rtcp = table.get("rtcp") or {}
    return RtpParameters(
        codecs=tuple(_codec_from_fbs(codec) for codec in table["codecs"]),
        header_extensions=tuple(_header_extension_from_fbs(entry) for entry in table.get("header_extensions") or ()),
        encodings=tuple(_encoding_from_fbs(encoding) for encoding in table.get("encodings") or ()),
        rtcp=RtcpParameters(rtcp.get("cname") or None, reduced_size=rtcp.get("reduced_size", True)),
        mid=table.get("mid") or None,
        msid=table.get("msid") or None,
    )


def _encoding_to_fbs(encoding: RtpEncodingParameters) -> Table:
    table: Table = {"dtx": encoding.dtx}
    if encoding.ssrc is not None:
        table["ssrc"] = encoding.ssrc
    if encoding.rid is not None:
        table["rid"] = encoding.rid
    if encoding.codec_payload_type is not None:
        table["codec_payload_type"] = encoding.codec_payload_type
    if encoding.rtx is not None:
        table["rtx"] = {"ssrc": encoding.rtx.ssrc}
    if encoding.scalability_mode is not None:
        table["scalability_mode"] = encoding.scalability_mode
    if encoding.max_bitrate is not None:
        table["max_bitrate"] = encoding.max_bitrate
    return table


@lru_cache(REMEMBERED)
def _codecs_to_fbs(codecs: tuple[RtpCodecParameters, ...]) -> list[Table]:
    return [
        {
            "mime_type": codec.mime_type,
            "payload_type": codec.payload_type,
            "clock_rate": codec.clock_rate,
            "channels": codec.channels,
            "parameters": _parameters_to_fbs(codec.parameters),
            "rtcp_feedback": [
                {"type": feedback.type, "parameter": feedback.parameter} for feedback in codec.rtcp_feedback
            ],
        }
        for codec in codecs
    ]


@lru_cache(REMEMBERED)
def _header_extensions_to_fbs(extensions: tuple[RtpHeaderExtensionParameters, ...]) -> list[Table]:
    return [
        {
            "uri": HEADER_EXTENSION_NAMES[extension.uri],
            "id": extension.id,
            "encrypt": extension.encrypt,
            "parameters": _parameters_to_fbs(extension.parameters),
        }
        for extension in extensions
    ]


@lru_cache(REMEMBERED)
def _mapped_codecs_to_fbs(codecs: tuple[CodecMapping, ...]) -> list[Table]:
    return [{"payload_type": codec.payload_type, "mapped_payload_type": codec.mapped_payload_type} for codec in codecs]


def _parameters_to_fbs(codec_parameters: Parameters) -> list[Table]:
    return [{"name": name, **_value_to_fbs(value)} for name, value in codec_parameters.items()]


def _value_to_fbs(value: ParameterValue) -> Table:
    """A member of the union ``Value``. Equal values give equal members: 1.0 is written as 1."""
    if isinstance(value, str):
        return {"value_type": "String", "value": {"value": value}}
    if isinstance(value, float) and not value.is_integer():
        return {"value_type": "Double", "value": {"value": value}}
    return {"value_type": "Integer32", "value": {"value": int(value)}}


def _codec_from_fbs(table: Mapping[str, Any]) -> RtpCodecParameters:
    mono = 1 if table["mime_type"].lower().startswith("audio/") else None
    return RtpCodecParameters(
        mime_type=table["mime_type"],
        payload_type=table["payload_type"],
        clock_rate=table["clock_rate"],
        channels=table.get("channels") or mono,
        parameters=_parameters_from_fbs(table.get("parameters")),
        rtcp_feedback=tuple(
            RtcpFeedback(feedback["type"], feedback.get("parameter") or "")
            for feedback in table.get("rtcp_feedback") or ()
        ),
    )


def _header_extension_from_fbs(table: Mapping[str, Any]) -> RtpHeaderExtensionParameters:
    return RtpHeaderExtensionParameters(
        uri=_HEADER_EXTENSION_URIS[table["uri"]],
        id=table["id"],
        encrypt=table.get("encrypt", False),
        parameters=_parameters_from_fbs(table.get("parameters")),
    )


def _encoding_from_fbs(table: Mapping[str, Any]) -> RtpEncodingParameters:
    rtx = table.get("rtx")
    return RtpEncodingParameters(
        ssrc=table.get("ssrc"),
        rid=table.get("rid") or None,
        codec_payload_type=table.get("codec_payload_type"),
        rtx=RtxParameters(rtx["ssrc"]) if rtx else None,
        dtx=table.get("dtx", False),
        scalability_mode=table.get("scalability_mode") or None,
        max_bitrate=table.get("max_bitrate"),
    )


def _parameters_from_fbs(entries: Iterable[Mapping[str, Any]] | None) -> Parameters:
    return Parameters({entry["name"]: entry["value"]["value"] for entry in entries or ()})
