"""The codecs that every room routes."""

from __future__ import annotations

from collections.abc import Collection

from worker_bridge import ortc
from worker_bridge.rtp import MediaKind, RtpCapabilities, RtpCodecCapability, parameters

CODECS = (
    RtpCodecCapability("audio", "audio/opus", 48000, channels=2),  # RFC 7587 §7: always two channels on the wire
    RtpCodecCapability("video", "video/VP8", 90000),
    RtpCodecCapability(
        "video",
        "video/H264",
        90000,
        parameters=parameters({"packetization-mode": 1, "profile-level-id": "42e01f", "level-asymmetry-allowed": 1}),
    ),
)
"""Calls are Opus; VP8 and H.264 are what every browser has for video (RFC 7742 §5)."""


def codecs_of(kinds: Collection[MediaKind]) -> tuple[RtpCodecCapability, ...]:
    return tuple(codec for codec in CODECS if codec.kind in kinds)


def capabilities_of(kinds: Collection[MediaKind]) -> RtpCapabilities:
    """The answer of RTC-01, which is the same for every room."""
    return ortc.router_capabilities(codecs_of(kinds))
