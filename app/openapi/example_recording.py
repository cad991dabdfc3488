"""Examples of the bodies about recordings."""

from __future__ import annotations

from app.openapi.example_call import CALL_ID
from schemas.recording import CallRecording, RecordingDeleted, RecordingLine, RecordingStatus, RecordRequest

RECORDINGS = (
    RecordRequest("a complaint by the user"),
    RecordingStatus(CALL_ID, "recording"),
    RecordingDeleted(True),
    CallRecording(
        call_id=CALL_ID,
        enabled=True,
        state="stopped",
        asked_by="root",
        reason="a complaint by the user",
        asked_at="2026-01-31T09:00:12.345Z",
        recordings=(
            RecordingLine(
                recording_id="rec_0b1f7d4386a1c0b9e8d7f654322c9a5e",
                call_id=CALL_ID,
                user_id="alice",
                role="user",
                part=1,
                state="stored",
                began_at="2026-01-31T09:00:12.400Z",
                duration_ms=183_042,
                bytes=732_168,
                error=None,
                expires_at="2026-03-02T09:03:16.000Z",
            ),
            RecordingLine(
                recording_id="rec_5e9a2c2c43654f7d8e9b0c1a6843d7f1",
                call_id=CALL_ID,
                user_id="hana",
                role="otomo",
                part=1,
                state="finished",
                began_at="2026-01-31T09:00:12.400Z",
                duration_ms=183_042,
                bytes=698_441,
                error="Permission denied",
                expires_at=None,
            ),
        ),
    ),
)
