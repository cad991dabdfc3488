"""RTP's vocabulary as values: capabilities and parameters (the ORTC dictionaries of W3C, as mediasoup shapes them).

Limits that a single field has by its nature stand in its type: msgspec keeps them where it reads a value, and
``ortc_validate`` where one was made by hand. Knows no pipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NoReturn

from msgspec import Meta

from worker_bridge.value import PRINTABLE, Value, matching, written

MediaKind = Literal["audio", "video"]
RtpType = Literal["simple", "simulcast", "svc", "pipe"]
"""One stream; several streams of one source; one stream of several layers; all streams of a producer, as they are."""
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
ParameterValue = str | int | float
"""Of a codec or header extension parameter. Booleans are no values (RFC 4855 fmtp)."""

PAYLOAD_TYPE_MAX: Final = 127  # RFC 3550 §5.1: 7 bits
EXTENSION_ID_MAX: Final = 255  # RFC 8285 §4.3: two-byte headers have 8 bits
CHANNELS_MAX: Final = 255
UINT32_MAX: Final = 2**32 - 1
MAX_CODECS: Final = PAYLOAD_TYPE_MAX + 1
MAX_HEADER_EXTENSIONS: Final = 64
MAX_ENCODINGS: Final = 16
MAX_FEEDBACKS: Final = 32  # of one codec

PayloadType = Annotated[int, Meta(ge=0, le=PAYLOAD_TYPE_MAX)]
ClockRate = Annotated[int, Meta(ge=1, le=UINT32_MAX)]
"""In Hz."""
Channels = Annotated[int, Meta(ge=1, le=CHANNELS_MAX)]
ExtensionId = Annotated[int, Meta(ge=1, le=EXTENSION_ID_MAX)]
Ssrc = Annotated[int, Meta(ge=0, le=UINT32_MAX)]
"""RFC 3550 §8.1. To the worker 0 is none, and typed clients write it for what they don't set."""
Bitrate = Annotated[int, Meta(ge=0, le=UINT32_MAX)]
"""In bits per second."""
MimeType = Annotated[
    str,
    Meta(min_length=7, max_length=70),
    matching(
        "(?:[Aa][Uu][Dd][Ii][Oo]|[Vv][Ii][Dd][Ee][Oo])/[A-Za-z0-9!#$&'*+.^_`|~-]{1,64}",
        'a media type such as "audio/opus"',
    ),
]
"""RFC 6838 §4.2."""
Uri = Annotated[str, Meta(min_length=1, max_length=255), PRINTABLE]
OptionalText = Annotated[str, Meta(max_length=255), PRINTABLE] | None
"""At most what a header extension can carry (RFC 8285 §4.3), or a CNAME (RFC 3550 §6.5). Empty is as not given,
and None behind ``validate_parameters``."""


class Parameters(dict[str, ParameterValue]):
    """Codec or header extension parameters by name, in the order of the names: a dict that can't be changed."""

    __slots__ = ("_hash",)
    _hash: int

    def __init__(self, values: Mapping[str, ParameterValue] | None = None, /, **named: ParameterValue) -> None:
        given = {**values, **named} if values else named
        super().__init__(sorted(given.items()) if len(given) > 1 else given)

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none, since it may change
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(tuple(self.items()))
            return self._hash

    def __reduce__(self) -> tuple[type[Parameters], tuple[dict[str, ParameterValue]]]:
        return Parameters, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("parameters can't be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


NO_PARAMETERS: Final = Parameters()


def parameters(values: dict[str, ParameterValue] | None = None, /, **named: ParameterValue) -> Parameters:
    """The parameters of a mapping, or by name, as far as their names are words of Python."""
    return Parameters(values, **named)


class RtcpFeedback(Value, frozen=True):
    """One RTCP feedback message that a codec understands (RFC 4585 §4.2)."""

    type: Annotated[str, Meta(min_length=1, max_length=64), PRINTABLE]
    parameter: Annotated[str, Meta(max_length=64), PRINTABLE] = written("")


class RtpCodecCapability(Value, frozen=True):
    """A codec that an endpoint or a router supports. ``preferred_payload_type`` is None until one is assigned."""

    kind: MediaKind
    mime_type: MimeType
    clock_rate: ClockRate
    preferred_payload_type: PayloadType | None = None
    channels: Channels | None = None
    parameters: Parameters = written(NO_PARAMETERS)
    rtcp_feedback: Annotated[tuple[RtcpFeedback, ...], Meta(max_length=MAX_FEEDBACKS)] = written(())


class RtpHeaderExtension(Value, frozen=True):
    """A header extension that an endpoint or a router supports (RFC 8285). ``kind`` None means both kinds."""

    uri: Uri
    preferred_id: ExtensionId
    kind: Annotated[MediaKind | None, Meta(extra={"empty_is_absent": True})] = None  # "" in older clients
    preferred_encrypt: bool = written(False)
    direction: Direction = written("sendrecv")


class RtpCapabilities(Value, frozen=True):
    """What an endpoint or a router can receive, the first codec preferred."""

    codecs: Annotated[tuple[RtpCodecCapability, ...], Meta(max_length=MAX_CODECS)] = written(())
    header_extensions: Annotated[tuple[RtpHeaderExtension, ...], Meta(max_length=MAX_HEADER_EXTENSIONS)] = written(())


class RtpCodecParameters(Value, frozen=True):
    """A codec in use: what ``payload_type`` means in one stream."""

    mime_type: MimeType
    payload_type: PayloadType
    clock_rate: ClockRate
    channels: Channels | None = None
    parameters: Parameters = written(NO_PARAMETERS)
    rtcp_feedback: Annotated[tuple[RtcpFeedback, ...], Meta(max_length=MAX_FEEDBACKS)] = written(())


class RtpHeaderExtensionParameters(Value, frozen=True):
    """A header extension in use: what ``id`` means in one stream (RFC 8285 §5)."""

    uri: Uri
    id: ExtensionId
    encrypt: bool = written(False)
    parameters: Parameters = written(NO_PARAMETERS)


Codecs = Annotated[tuple[RtpCodecParameters, ...], Meta(min_length=1, max_length=MAX_CODECS)]
HeaderExtensions = Annotated[tuple[RtpHeaderExtensionParameters, ...], Meta(max_length=MAX_HEADER_EXTENSIONS)]


class RtxParameters(Value, frozen=True):
    """The stream in which an encoding's lost packets are sent again (RFC 4588 §8.2)."""

    ssrc: Ssrc


class RtpEncodingParameters(Value, frozen=True):
    """One encoding of a stream. ``max_bitrate`` is in bits per second."""

    ssrc: Ssrc | None = None
    rid: OptionalText = None
    codec_payload_type: PayloadType | None = None
    rtx: RtxParameters | None = None
    dtx: bool = written(False)
    scalability_mode: Annotated[str, Meta(max_length=32), PRINTABLE] | None = None
    max_bitrate: Bitrate | None = None

    @property
    def rtx_ssrc(self) -> int | None:
        """Of its retransmissions."""
        return None if self.rtx is None else self.rtx.ssrc


class RtcpParameters(Value, frozen=True):
    """How one end does RTCP: its CNAME (RFC 3550 §6.5.1), and whether packets may be of reduced size (RFC 5506)."""

    cname: OptionalText = None
    reduced_size: bool = written(True)


class RtpParameters(Value, frozen=True):
    """What one producer sends, or one consumer receives."""

    codecs: Codecs
    header_extensions: HeaderExtensions = written(())
    encodings: Annotated[tuple[RtpEncodingParameters, ...], Meta(max_length=MAX_ENCODINGS)] = written(())
    rtcp: RtcpParameters = written(RtcpParameters())
    mid: OptionalText = None
    msid: OptionalText = None


class CodecMapping(Value, frozen=True):
    payload_type: PayloadType
    mapped_payload_type: PayloadType


class EncodingMapping(Value, frozen=True):
    mapped_ssrc: Ssrc
    ssrc: Ssrc | None = None
    rid: str | None = None
    scalability_mode: str | None = None


class RtpMapping(Value, frozen=True):
    """How a producer's own payload types and SSRCs become the router's."""

    codecs: tuple[CodecMapping, ...]
    encodings: tuple[EncodingMapping, ...]


def read_hook(kind: type, value: Any) -> Any:
    """``dec_hook`` of msgspec for the one type of ours that it does not know.

    Raises TypeError where it is another type, or the value is no mapping.
    """
    if kind is not Parameters or not isinstance(value, dict):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return Parameters(value) if value else NO_PARAMETERS
