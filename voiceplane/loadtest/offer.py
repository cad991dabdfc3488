"""What a party offers to send: the stream of a browser's microphone, with the server's header extension ids."""

from __future__ import annotations

import secrets
from typing import Any

from voiceplane.loadtest.voice import Stream
from worker_bridge.capabilities import ABS_SEND_TIME, MID, SSRC_AUDIO_LEVEL

PAYLOAD_TYPE = 111  # as every Chromium says Opus
URIS = (MID, SSRC_AUDIO_LEVEL, ABS_SEND_TIME)

Wire = dict[str, Any]  # a JSON object as it travels, camelCase


def stream(capabilities: Wire) -> Stream:
    """A new stream of a random SSRC (RFC 3550 §8.1). :param capabilities: the answer of RTC-01."""
    ids = {one["uri"]: one["preferredId"] for one in capabilities["headerExtensions"] if one["kind"] == "audio"}
    mid, level, send_time = (ids[uri] for uri in URIS)
    return Stream(secrets.randbelow(2**32 - 2) + 1, PAYLOAD_TYPE, mid, level, send_time)


def rtp_parameters(stream: Stream, cname: str) -> Wire:
    """The stream as RTC-04's `rtpParameters`."""
    ids = zip(URIS, (stream.mid_id, stream.level_id, stream.send_time_id), strict=True)
    opus = {
        "mimeType": "audio/opus",
        "payloadType": stream.payload_type,
        "clockRate": 48000,
        "channels": 2,
        "parameters": {"minptime": 10, "useinbandfec": 1},
        "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}],
    }
    return {
        "mid": "0",
        "codecs": [opus],
        "headerExtensions": [{"uri": uri, "id": id_} for uri, id_ in ids],
        "encodings": [{"ssrc": stream.ssrc}],
        "rtcp": {"cname": cname, "reducedSize": True},
    }
