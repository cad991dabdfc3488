"""Examples of the bodies about what the node lets parties hear."""

from __future__ import annotations

from app.openapi.example_call import CALL_ID, CONNECTED_AT
from schemas.announcing import Announced, AnnounceRequest, ClipLine, ClipList, HoldRequest, HoldState, ResumeRequest

ANNOUNCING = (
    AnnounceRequest(clip="welcome", to="both"),
    Announced(announcement_id="5f1c0a9be2d34c77a1b60e12", call_id=CALL_ID, clip="welcome", to="both", duration_ms=3200),
    ClipList(
        clips=(
            ClipLine(
                clip="warning", file="warning.opus", builtin=True, size=2583, duration_ms=800, channels=1, problem=None
            ),
            ClipLine(
                clip="welcome",
                file="welcome.opus",
                builtin=False,
                size=40_960,
                duration_ms=None,
                channels=None,
                problem="was made of sound at 44100 Hz, not 48000",
            ),
        )
    ),
    HoldRequest(music="hold"),
    ResumeRequest(reason="the guide is back"),
    HoldState(call_id=CALL_ID, held=True, since=CONNECTED_AT, music="hold"),
)
