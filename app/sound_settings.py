"""Which settings about announcements, recordings, silence and audio streams can't work. Knows no other settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from yarl import URL

from app.addresses import is_loopback

LONGEST_S = 86_400
SHORTEST_S = 2

if TYPE_CHECKING:
    from app.settings import Settings


def fault(settings: Settings) -> str | None:
    """What is wrong with them, as a sentence that begins with a setting's name; None where nothing is."""
    if settings.clips_dir is not None and not settings.clips_dir.is_dir():
        return f"CLIPS_DIR must be a folder, and {settings.clips_dir} is none."
    return recording_fault(settings) or stream_fault(settings) or silence_fault(settings)


def recording_fault(settings: Settings) -> str | None:
    if not 0 <= settings.recording_days <= 36_500:
        return f"RECORDING_DAYS must be 0 to 36500, not {settings.recording_days}."
    if not 0 <= settings.recording_max_calls <= 1_000_000:
        return f"RECORDING_MAX_CALLS must be 0 to 1000000, not {settings.recording_max_calls}."
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", settings.recording_url)
    if scheme is not None and not re.match(r"s3://[A-Za-z0-9]", settings.recording_url):
        return f"RECORDING_URL must be a folder or s3://BUCKET/PREFIX, not {settings.recording_url!r}."
    if settings.recording and settings.cluster and not settings.recording_url:
        return (
            "RECORDING_URL must be set where RECORDING and CLUSTER are on: a bucket or a folder that all nodes share."
        )
    return None


def silence_fault(settings: Settings) -> str | None:
    for name in ("silence_warning_s", "silence_end_s"):
        if not 0 <= (value := getattr(settings, name)) <= LONGEST_S:
            return f"{name.upper()} must be 0 to {LONGEST_S} seconds, not {value}."
        if 0 < value < SHORTEST_S:
            return f"{name.upper()} must be {SHORTEST_S} seconds or more, or 0 for never, not {value}."
    if 0 < settings.silence_end_s <= settings.silence_warning_s:
        return "SILENCE_END_S must be more than SILENCE_WARNING_S, or 0 for never."
    return None


def stream_fault(settings: Settings) -> str | None:
    if settings.audio_stream_url is not None and (problem := stream_url_fault(settings.audio_stream_url)):
        return f"AUDIO_STREAM_URL {problem}."
    if settings.audio_stream_token is not None and not re.fullmatch(r"[!-~]{1,4096}", settings.audio_stream_token):
        return "AUDIO_STREAM_TOKEN must be of printable ASCII characters, without spaces."
    return None


def stream_url_fault(text: str) -> str | None:
    """What is wrong with the URL, to follow its name in a sentence. Sound goes unencrypted on this machine alone."""
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        return "is not a URL"
    if url.scheme not in ("wss", "ws") or not host or not port:
        return "must be a wss:// URL with a host"
    if url.user is not None or url.password is not None or url.raw_fragment:
        return "must hold no user, no password and no fragment: AUDIO_STREAM_TOKEN is for secrets"
    if url.scheme == "ws" and not is_loopback(host):
        return "must be a wss:// URL: by ws:// sound goes no further than this machine"
    return None
