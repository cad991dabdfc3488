"""RTP capabilities and parameters as mediasoup and mediasoup-client write them in JSON. What a codec list has to
agree with is the business of the ORTC rules; here are only types and ranges.

Lenient where real clients differ: unknown fields are dropped, and what typed clients write for a field that they do
not set counts as not given: null (pymediasoup writes None so), ``""`` for ids and names, 0 for an SSRC beside a MID.
Strict otherwise.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, cast

from marshmallow import ValidationError, pre_load

from schemas.base import LenientSchema, ObjectOf
from schemas.fields import INT32, UINT32_MAX, Choice, Flag, ListOf, StrictField, Text, Whole, whole
from schemas.problem import UNPRINTABLE
from worker_bridge import rtp

MAX_CODECS: Final = 128  # as many as there are payload types
MAX_HEADER_EXTENSIONS: Final = 64
MAX_ENCODINGS: Final = 16
MAX_FEEDBACKS: Final = 32  # of one codec
MAX_PARAMETERS: Final = 64  # of one codec or extension
MAX_PARAMETER_NAME: Final = 128  # characters
MAX_PARAMETER_VALUE: Final = 1024  # characters; H.264 and H.265 parameter sets in base 64 take a few hundred
MIME_TYPE: Final = r"(?:[Aa][Uu][Dd][Ii][Oo]|[Vv][Ii][Dd][Ee][Oo])/[A-Za-z0-9!#$&^_.+-]{1,64}"  # RFC 6838 §4.2


class ParameterMap(StrictField[rtp.Parameters]):
    """fmtp parameters by name: texts, numbers that fit 32 bits, or null for a name without a value, which the
    engine's own clients write as ``""``."""

    def accept(self, value: Any) -> rtp.Parameters:
        if type(value) is not dict:
            raise ValidationError("must be an object")
        if len(value) > MAX_PARAMETERS:
            raise ValidationError(f"must have at most {MAX_PARAMETERS} entries")
        problems = {name: [problem] for name, inner in value.items() if (problem := _parameter_problem(name, inner))}
        if problems:
            raise ValidationError(problems)
        return rtp.parameters({name: _parameter_value(inner) for name, inner in value.items()})

    def write(self, value: rtp.Parameters) -> dict[str, rtp.ParameterValue]:
        return dict(value)

    def describe(self) -> dict[str, Any]:
        text = {"type": "string", "maxLength": MAX_PARAMETER_VALUE}
        integer = {"type": "integer", "minimum": INT32[0], "maximum": INT32[1]}
        fraction = {"type": "number", "not": {"type": "integer"}}
        values = {"anyOf": [text, integer, fraction, {"type": "null"}]}
        return {"type": "object", "maxProperties": MAX_PARAMETERS, "additionalProperties": values}


def _parameter_value(value: Any) -> rtp.ParameterValue:
    """A checked value as the bridge takes it."""
    number = whole(value)
    if number is not None:
        return number
    return "" if value is None else cast("str | float", value)


def _parameter_problem(name: Any, value: Any) -> str | None:
    if type(name) is not str or not 1 <= len(name) <= MAX_PARAMETER_NAME or UNPRINTABLE.search(name):
        return f"must be named with 1 to {MAX_PARAMETER_NAME} characters, none of them a control character"
    if value is None:
        return None
    if type(value) is str:
        if len(value) > MAX_PARAMETER_VALUE:
            return f"must have at most {MAX_PARAMETER_VALUE} characters"
        return "must not hold control characters" if UNPRINTABLE.search(value) else None
    if (number := whole(value)) is not None:
        return None if INT32[0] <= number <= INT32[1] else f"must be {INT32[0]} to {INT32[1]}"
    if type(value) is float:
        return None if isfinite(value) else "must be finite"
    return "must be a string or a number"


class AnyKind(Choice):
    """ "audio" or "video"; the empty text of older clients means both, as null does."""

    def __init__(self, **options: Any) -> None:
        super().__init__("audio", "video", "", **options)

    def accept(self, value: Any) -> Any:
        return super().accept(value) or None


class Ssrc(Whole):
    """A stream's number (RFC 3550 §5.1). 0 is none, to the worker as to typed clients: ``RtpParametersSchema`` takes
    it away beside a MID, by which the stream is known then."""

    def __init__(self, **options: Any) -> None:
        super().__init__(at_least=1, at_most=UINT32_MAX, **options)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"minimum": 0, "description": "0 is as not given, and needs a `mid`"}


class RtxSsrc(StrictField[rtp.RtxParameters]):
    """``{"ssrc": 1234}``."""

    _ssrc: Final = Ssrc()

    def accept(self, value: Any) -> rtp.RtxParameters:
        if type(value) is not dict:
            raise ValidationError("must be an object")
        try:
            ssrc = self._ssrc.deserialize(value["ssrc"])
        except KeyError:
            raise ValidationError({"ssrc": ["is required"]}) from None
        except ValidationError as error:
            raise ValidationError({"ssrc": error.messages}) from None
        return rtp.RtxParameters(int(ssrc))

    def write(self, value: rtp.RtxParameters) -> dict[str, int]:
        return {"ssrc": value.ssrc}

    def describe(self) -> dict[str, Any]:
        return {"type": "object", "properties": {"ssrc": self._ssrc.describe()}, "required": ["ssrc"]}


def _payload_type(**options: Any) -> Whole:
    return Whole(at_least=0, at_most=127, **options)  # RFC 3550 §5.1: 7 bits


def _extension_id() -> Whole:
    return Whole(at_least=1, at_most=255)  # RFC 8285 §4.3: two-byte headers have 8 bits


def _optional(default: Any = None) -> dict[str, Any]:
    return {"load_default": default, "null_is_absent": True}


def _optional_text(at_most: int) -> Text:
    return Text(at_most=at_most, empty_is_absent=True, **_optional())


class RtcpFeedbackSchema(LenientSchema[rtp.RtcpFeedback]):
    type = Text(at_most=64)
    parameter = Text(at_least=0, at_most=64, **_optional(""))


class RtpCodecCapabilitySchema(LenientSchema[rtp.RtpCodecCapability]):
    kind = Choice("audio", "video")
    mime_type = Text(at_most=80, pattern=MIME_TYPE, form='a media type such as "audio/opus"')
    clock_rate = Whole(at_least=1, at_most=UINT32_MAX)
    preferred_payload_type = _payload_type(**_optional())
    channels = Whole(at_least=1, at_most=255, **_optional())
    parameters = ParameterMap(**_optional(rtp.NO_PARAMETERS))
    rtcp_feedback = ListOf(ObjectOf(RtcpFeedbackSchema), at_most=MAX_FEEDBACKS, **_optional(()))

    @classmethod
    def make(cls, **values: Any) -> rtp.RtpCodecCapability:
        return rtp.RtpCodecCapability(**_without_channels_of_video(values))


class RtpHeaderExtensionSchema(LenientSchema[rtp.RtpHeaderExtension]):
    kind = AnyKind(**_optional())
    uri = Text(at_most=255)
    preferred_id = _extension_id()
    preferred_encrypt = Flag(**_optional(False))
    direction = Choice("sendrecv", "sendonly", "recvonly", "inactive", **_optional("sendrecv"))


class RtpCapabilitiesSchema(LenientSchema[rtp.RtpCapabilities]):
    codecs = ListOf(ObjectOf(RtpCodecCapabilitySchema), at_most=MAX_CODECS, **_optional(()))
    header_extensions = ListOf(ObjectOf(RtpHeaderExtensionSchema), at_most=MAX_HEADER_EXTENSIONS, **_optional(()))


class RtpCodecParametersSchema(LenientSchema[rtp.RtpCodecParameters]):
    mime_type = Text(at_most=80, pattern=MIME_TYPE, form='a media type such as "audio/opus"')
    payload_type = _payload_type()
    clock_rate = Whole(at_least=1, at_most=UINT32_MAX)
    channels = Whole(at_least=1, at_most=255, **_optional())
    parameters = ParameterMap(**_optional(rtp.NO_PARAMETERS))
    rtcp_feedback = ListOf(ObjectOf(RtcpFeedbackSchema), at_most=MAX_FEEDBACKS, **_optional(()))

    @classmethod
    def make(cls, **values: Any) -> rtp.RtpCodecParameters:
        return rtp.RtpCodecParameters(**_without_channels_of_video(values))


class RtpHeaderExtensionParametersSchema(LenientSchema[rtp.RtpHeaderExtensionParameters]):
    uri = Text(at_most=255)
    id = _extension_id()
    encrypt = Flag(**_optional(False))
    parameters = ParameterMap(**_optional(rtp.NO_PARAMETERS))


class RtpEncodingParametersSchema(LenientSchema[rtp.RtpEncodingParameters]):
    ssrc = Ssrc(**_optional())
    rid = _optional_text(255)
    codec_payload_type = _payload_type(**_optional())
    rtx = RtxSsrc(**_optional())
    dtx = Flag(**_optional(False))
    scalability_mode = _optional_text(32)
    max_bitrate = Whole(at_least=0, at_most=UINT32_MAX, **_optional())


class RtcpParametersSchema(LenientSchema[rtp.RtcpParameters]):
    cname = _optional_text(255)  # RFC 3550 §6.5: the length is one byte
    reduced_size = Flag(**_optional(True))


class RtpParametersSchema(LenientSchema[rtp.RtpParameters]):
    codecs = ListOf(ObjectOf(RtpCodecParametersSchema), at_least=1, at_most=MAX_CODECS, remember=True)
    header_extensions = ListOf(
        ObjectOf(RtpHeaderExtensionParametersSchema), at_most=MAX_HEADER_EXTENSIONS, remember=True, **_optional(())
    )
    encodings = ListOf(ObjectOf(RtpEncodingParametersSchema), at_most=MAX_ENCODINGS, **_optional(()))
    rtcp = ObjectOf(RtcpParametersSchema, **_optional(rtp.RtcpParameters()))
    mid = _optional_text(255)  # RFC 8285 §4.3: what a header extension can carry
    msid = _optional_text(255)

    @pre_load
    def _leave_out_unset_ssrcs(self, body: Any, **_: Any) -> Any:
        if type(body) is not dict or type(body.get("mid")) is not str or not body["mid"]:
            return body
        if type(body.get("encodings")) is not list:
            return body
        return body | {"encodings": [_without_unset_ssrcs(encoding) for encoding in body["encodings"]]}


def _without_unset_ssrcs(encoding: Any) -> Any:
    if type(encoding) is not dict:
        return encoding
    unset = {"ssrc": encoding.get("ssrc"), "rtx": _ssrc_of(encoding.get("rtx"))}
    return {name: value for name, value in encoding.items() if whole(unset.get(name)) != 0}


def _ssrc_of(rtx: Any) -> Any:
    return rtx.get("ssrc") if type(rtx) is dict else None


def _without_channels_of_video(values: dict[str, Any]) -> dict[str, Any]:
    """Only audio has channels (RFC 4566 §6); some clients give video one."""
    return values if values["mime_type"].lower().startswith("audio/") else values | {"channels": None}
