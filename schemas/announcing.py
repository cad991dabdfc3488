"""Bodies about what the node lets parties hear: clips, announcements, calls on hold."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.types import CallId, Count, Prose, Reason, Text, Timestamp, Word
from worker_bridge.value import matching

ClipName = Annotated[
    str,
    Meta(min_length=1, max_length=64),
    matching("[A-Za-z0-9][A-Za-z0-9_-]*", "made of A-Z a-z 0-9 _ -, and begin with none of the last two"),
]
"""A clip's file name without its suffix."""
Hearers = Literal["user", "otomo", "both"]


class AnnounceRequest(Body, frozen=True):
    clip: ClipName
    to: Hearers
    reason: Reason | UnsetType = UNSET


class Announced(Answer, frozen=True, kw_only=True):
    """The clip is played when those before it in the leg have been, for ``duration_ms``."""

    announcement_id: Word
    call_id: CallId
    clip: ClipName
    to: Hearers
    duration_ms: Count


class ClipLine(Answer, frozen=True, kw_only=True):
    """A file. Where it can't be played, ``problem`` is why, the end of a sentence about the file; ``builtin`` are those
    that come with the node."""

    clip: Text
    file: Text
    builtin: bool
    size: Annotated[int, Meta(ge=0)]
    duration_ms: Count | None
    channels: Count | None
    problem: Prose | None


class ClipList(Answer, frozen=True):
    """All clips of the node that was asked, by name."""

    clips: tuple[ClipLine, ...]


class HoldRequest(Body, frozen=True):
    """Without ``music``, both hear nothing."""

    empty_body: ClassVar[bool] = True

    music: ClipName | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class ResumeRequest(Body, frozen=True):
    empty_body: ClassVar[bool] = True

    reason: Reason | UnsetType = UNSET


class HoldState(Answer, frozen=True, kw_only=True):
    """Whether a call is on hold; if so, since when, and which clip is played."""

    call_id: CallId
    held: bool
    since: Timestamp | None
    music: ClipName | None
