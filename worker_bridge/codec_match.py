"""Which codecs there are, what the worker can do with each, and when two descriptions mean the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from worker_bridge import h264
from worker_bridge.rtp import ParameterValue, RtpCapabilities, RtpCodecCapability, RtpCodecParameters

RTX: Final = "rtx"
SIMULCAST_CODECS: Final = frozenset(("vp8", "h264"))
LAYERED_CODECS: Final = frozenset(("vp8", "vp9", "h264", "av1"))
_COMPANIONS: Final = frozenset((RTX, "cn", "telephone-event", "red", "ulpfec", "flexfec", "flexfec-03", "x-ulpfecuc"))
"""What is never media by itself: the worker wants at least one codec that is not among these."""

Codec = RtpCodecParameters | RtpCodecCapability


def subtype(mime_type: str) -> str:
    """The lower-case name behind the slash: MIME types are compared without case (RFC 2045 §5.1)."""
    return mime_type.partition("/")[2].lower()


def is_media(mime_type: str) -> bool:
    """Whether a codec carries media by itself, unlike RTX, FEC, comfort noise and DTMF."""
    return subtype(mime_type) not in _COMPANIONS


def matches(ours: Codec, theirs: Codec, *, strict: bool) -> bool:
    """Whether both mean the same codec; ``strict`` also compares what one offer may hold several variants of."""
    name = ours.mime_type.lower()
    if name != theirs.mime_type.lower() or ours.clock_rate != theirs.clock_rate or ours.channels != theirs.channels:
        return False
    if name == "audio/multiopus":
        return _agree(ours, theirs, "num_streams") and _agree(ours, theirs, "coupled_streams")
    if strict and name == "video/vp9":
        return _agree(ours, theirs, "profile-id", default=0)
    if strict and name == "video/h264":
        return _agree(ours, theirs, "packetization-mode", default=0) and h264.same_profile(
            ours.parameters, theirs.parameters
        )
    return True


def _agree(ours: Codec, theirs: Codec, name: str, default: ParameterValue | None = None) -> bool:
    """Whether a parameter is the same; what is absent or empty is ``default``. Numbers and strings always differ."""
    return _value(ours.parameters, name, default) == _value(theirs.parameters, name, default)


def _value(
    codec_parameters: Mapping[str, ParameterValue], name: str, default: ParameterValue | None
) -> ParameterValue | None:
    value = codec_parameters.get(name)
    return default if default is not None and not value else value


def rtx_of(cap: RtpCodecCapability, caps: RtpCapabilities) -> RtpCodecCapability | None:
    """The RTX codec among ``caps`` that retransmits ``cap`` (RFC 4588 §8.1)."""
    apt = cap.preferred_payload_type
    repairs = (codec for codec in caps.codecs if subtype(codec.mime_type) == RTX)
    return next((codec for codec in repairs if codec.parameters.get("apt") == apt), None)


def describe(codec: Codec) -> str:
    """As SDP's ``rtpmap`` would say it, for messages."""
    channels = "" if codec.channels is None else f"/{codec.channels}"
    return f"{codec.mime_type}/{codec.clock_rate}{channels}"
