"""Which settings about announcements, silence and audio streams are refused, and with which words."""

from __future__ import annotations

import pytest

from app.settings import Settings
from app.settings_text import SettingsError

STREAM = "AUDIO_STREAM_URL must be a wss:// URL"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"clips_dir": "nowhere"}, "CLIPS_DIR must be a folder, and nowhere is none"),
        ({"silence_warning_s": -1}, "SILENCE_WARNING_S must be 0 to 86400 seconds"),
        ({"silence_end_s": float("nan")}, "SILENCE_END_S must be 0 to 86400 seconds"),
        ({"silence_end_s": 1}, "SILENCE_END_S must be 2 seconds or more"),
        ({"silence_warning_s": 60, "silence_end_s": 60}, "SILENCE_END_S must be more than SILENCE_WARNING_S"),
        ({"audio_stream_url": "https://example.com/"}, STREAM),
        ({"audio_stream_url": "ws://example.com/"}, STREAM),
        ({"audio_stream_url": "ws://192.168.1.2/"}, STREAM),
        ({"audio_stream_url": "wss://"}, STREAM),
        ({"audio_stream_url": "wss://me:secret@example.com/"}, "must hold no user, no password and no fragment"),
        ({"audio_stream_token": "two words"}, "AUDIO_STREAM_TOKEN must be of printable ASCII characters"),
    ],
)
def test_what_can_t_work_is_refused(changed, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = {f"VOICEPLANE_{name.upper()}": str(value) for name, value in changed.items()}
    with pytest.raises(SettingsError, match=why):
        Settings.from_env(named, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"silence_warning_s": 60},
        {"silence_end_s": 60},
        {"silence_warning_s": 60, "silence_end_s": 120},
        {"audio_stream_url": "wss://10.0.0.5:9090/audio?of=calls", "audio_stream_token": "s3cret!"},
        {"audio_stream_url": "ws://localhost:9090/"},
        {"audio_stream_url": "ws://127.0.0.1/"},
        {"audio_stream_url": "ws://[::1]:1/"},
    ],
)
def test_what_can_work_is_taken_and_secrets_are_not_shown(changed):
    settings = Settings(**changed)
    assert {name: getattr(settings, name) for name in changed} == changed
    assert "s3cret!" not in repr(settings)
