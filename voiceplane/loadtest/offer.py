"""What a party offers to send: the stream of a browser's microphone, with the server's header extension ids."""

from __future__ import annotations

import secrets
from typing import Any

from voiceplane.loadtest.voice import Stream
from worker_bridge.capabilities import ABS_SEND_TIME, MID, SSRC_AUDIO_LEVEL
from worker_bridge.mediasoup_json import from_json, to_json
from worker_bridge.rtp import (
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
    parameters,
)

PAYLOAD_TYPE = 111  # as every Chromium says Opus
URIS = (MID, SSRC_AUDIO_LEVEL, ABS_SEND_TIME)

Json = dict[str, Any]  # a JSON object


def stream(capabilities: Json) -> Stream:
    """A new stream of a random SSRC (RFC 3550 §8.1). :param capabilities: the answer of RTC-01."""
    extensions = from_json(RtpCapabilities, capabilities).header_extensions
    ids = {one.uri: one.preferred_id for one in extensions if one.kind == "audio"}
    mid, level, send_time = (ids[uri] for uri in URIS)
    return Stream(secrets.randbelow(2**32 - 2) + 1, PAYLOAD_TYPE, mid, level, send_time)


def rtp_parameters(stream: Stream, cname: str) -> Json:
    """The same as RTC-04's `rtpParameters`."""
    ids = zip(URIS, (stream.mid_id, stream.level_id, stream.send_time_id), strict=True)
    opus = RtpCodecParameters(
        mime_type="audio/opus",
        payload_type=stream.payload_type,
        clock_rate=48000,
        channels=2,
        parameters=parameters(minptime=10, useinbandfec=1),
        rtcp_feedback=(RtcpFeedback("transport-cc"),),
    )
    offered = RtpParameters(
        codecs=(opus,),
        header_extensions=tuple(RtpHeaderExtensionParameters(uri, id_) for uri, id_ in ids),
        encodings=(RtpEncodingParameters(ssrc=stream.ssrc),),
        rtcp=RtcpParameters(cname=cname),
        mid="0",
    )
    return dict(to_json(offered))
