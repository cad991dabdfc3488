"""What the worker can route: 25 codecs and 18 header extensions, in the order in which they are matched and numbered.

Facts of the worker's release (see VERSION), as values. Which of them a router offers is the business of ``ortc``.
"""

from __future__ import annotations

from worker_bridge.rtp import (
    Direction,
    MediaKind,
    RtcpFeedback,
    RtpCapabilities,
    RtpCodecCapability,
    RtpHeaderExtension,
    parameters,
)

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RTP_STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RTP_STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
SSRC_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
VIDEO_ORIENTATION = "urn:3gpp:video-orientation"
TIME_OFFSET = "urn:ietf:params:rtp-hdrext:toffset"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
PACKET_ID = "urn:mediasoup:params:rtp-hdrext:packet-id"

_TRANSPORT_CC_FEEDBACK = RtcpFeedback("transport-cc")
_OPUS_FEEDBACK = (RtcpFeedback("nack"), _TRANSPORT_CC_FEEDBACK)
_VIDEO_FEEDBACK = (
    RtcpFeedback("nack"),
    RtcpFeedback("nack", "pli"),
    RtcpFeedback("ccm", "fir"),
    RtcpFeedback("goog-remb"),
    _TRANSPORT_CC_FEEDBACK,
)


def _multiopus(channels: int, mapping: str, streams: int, coupled: int) -> RtpCodecCapability:
    layout = parameters(channel_mapping=mapping, num_streams=streams, coupled_streams=coupled)
    return RtpCodecCapability("audio", "audio/multiopus", 48000, None, channels, layout, _OPUS_FEEDBACK)


def _audio(name: str, clock_rate: int, payload_type: int | None = None) -> RtpCodecCapability:
    return RtpCodecCapability(
        "audio", f"audio/{name}", clock_rate, payload_type, 1, rtcp_feedback=(_TRANSPORT_CC_FEEDBACK,)
    )


def _without_feedback(name: str, clock_rate: int, payload_type: int | None = None) -> RtpCodecCapability:
    return RtpCodecCapability("audio", f"audio/{name}", clock_rate, payload_type, 1)


def _video(name: str, **named: int) -> RtpCodecCapability:
    codec_parameters = parameters({key.replace("_", "-"): value for key, value in named.items()})
    return RtpCodecCapability("video", f"video/{name}", 90000, None, None, codec_parameters, _VIDEO_FEEDBACK)


_CODECS = (
    RtpCodecCapability("audio", "audio/opus", 48000, None, 2, rtcp_feedback=_OPUS_FEEDBACK),
    _multiopus(4, "0,1,2,3", 2, 2),  # quadraphonic
    _multiopus(6, "0,4,1,2,3,5", 4, 2),  # 5.1
    _multiopus(8, "0,6,1,2,3,4,5,7", 5, 3),  # 7.1
    _audio("PCMU", 8000, 0),  # static payload types: RFC 3551 §6
    _audio("PCMA", 8000, 8),
    _audio("ISAC", 32000),
    _audio("ISAC", 16000),
    _audio("G722", 8000, 9),
    _audio("iLBC", 8000),
    _audio("SILK", 24000),
    _audio("SILK", 16000),
    _audio("SILK", 12000),
    _audio("SILK", 8000),
    _without_feedback("CN", 32000, 13),
    _without_feedback("CN", 16000, 13),
    _without_feedback("CN", 8000, 13),
    _without_feedback("telephone-event", 48000),
    _without_feedback("telephone-event", 32000),
    _without_feedback("telephone-event", 16000),
    _without_feedback("telephone-event", 8000),
    _video("VP8"),
    _video("VP9"),
    _video("H264", level_asymmetry_allowed=1),
    _video("AV1"),
)


def _extensions(
    uri: str, preferred_id: int, audio: Direction | None, video: Direction | None
) -> tuple[RtpHeaderExtension, ...]:
    kinds: tuple[tuple[MediaKind, Direction | None], ...] = (("audio", audio), ("video", video))
    return tuple(
        RtpHeaderExtension(uri, preferred_id, kind, False, direction) for kind, direction in kinds if direction
    )


# Directions are the router's: "recvonly" is taken from producers and never sent to consumers.
_HEADER_EXTENSIONS = (
    *_extensions(MID, 1, "sendrecv", "sendrecv"),
    *_extensions(RTP_STREAM_ID, 2, None, "recvonly"),
    *_extensions(REPAIRED_RTP_STREAM_ID, 3, None, "recvonly"),
    *_extensions(ABS_SEND_TIME, 4, "sendrecv", "sendrecv"),
    *_extensions(TRANSPORT_CC, 5, "recvonly", "sendrecv"),
    *_extensions(SSRC_AUDIO_LEVEL, 6, "sendrecv", None),
    *_extensions(DEPENDENCY_DESCRIPTOR, 7, None, "recvonly"),
    *_extensions(VIDEO_ORIENTATION, 8, None, "sendrecv"),
    *_extensions(TIME_OFFSET, 9, None, "sendrecv"),
    *_extensions(ABS_CAPTURE_TIME, 10, "sendrecv", "sendrecv"),
    *_extensions(PLAYOUT_DELAY, 11, "sendrecv", "sendrecv"),
    *_extensions(PACKET_ID, 12, "sendrecv", "sendrecv"),
)

SUPPORTED = RtpCapabilities(_CODECS, _HEADER_EXTENSIONS)
"""All that the worker supports, normalised: audio codecs have channels, feedback has a parameter."""

DYNAMIC_PAYLOAD_TYPES = (*range(100, 128), *range(96, 100))
"""The dynamic range of RFC 3551 §6, in the order in which a router hands them out."""
