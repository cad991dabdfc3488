"""Bodies about recordings: of a call that is recorded, and of the files that come of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import Answer, Body
from schemas.types import CallId, Count, Name, PartyRole, Points, Prose, Reason, Timestamp
from worker_bridge.value import matching

RecordingId = Annotated[str, Meta(min_length=36, max_length=36), matching("rec_[0-9a-f]{32}", "a recording's id")]
RecordingState = Literal["recording", "paused", "stopped"]
"""Whether a call is recorded. One that is not connected yet will be, from its first packet on."""
FileState = Literal["recording", "finished", "stored", "failed"]
"""Of a leg's file: it grows; it is whole, and on its way to the storage; it is there; nothing can be had of it."""


class RecordRequest(Body, frozen=True):
    """Why a call is recorded."""

    reason: Annotated[Reason, Meta(min_length=1)]


class RecordingStatus(Answer, frozen=True):
    """Whether a call is recorded now; ``null`` where it never was."""

    call_id: CallId
    state: RecordingState | None


class RecordingLine(Answer, frozen=True, kw_only=True):
    """One file: what one party has sent, from ``connectedAt`` on. ``part`` counts from 1: there is more than one where
    a recording was stopped and begun again, or where the call has moved to another node.

    Before it is ``finished`` its ``duration_ms`` and ``bytes`` are null; ``error`` says why it could not be stored yet,
    or why it failed; it is deleted at ``expires_at``.
    """

    recording_id: RecordingId
    call_id: CallId
    user_id: Name
    role: PartyRole
    part: Count
    state: FileState
    began_at: Timestamp
    duration_ms: Points | None
    bytes: Points | None
    error: Prose | None
    expires_at: Timestamp | None


class CallRecording(Answer, frozen=True, kw_only=True):
    """A call's recording: whether it goes on, who has asked for it and why; and its files, the user's first. Where it
    was never asked for, all but the call is null, and there are no files. ``enabled`` is whether the settings let calls
    be recorded."""

    call_id: CallId
    enabled: bool
    state: RecordingState | None
    asked_by: Name | None
    reason: Reason | None
    asked_at: Timestamp | None
    recordings: tuple[RecordingLine, ...]


class RecordingDeleted(Answer, frozen=True):
    deleted: Literal[True]
