"""The texts of an audio stream, between its frames of sound: what it is, what is missing in it, that it is over."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import Answer
from schemas.types import CallId, Count, Name, PartyRole, Timestamp, Word


class StreamStart(Answer, frozen=True, kw_only=True):
    """First on each connection. Then each binary message is ``frame_ms`` of one party's sound, the first of them from
    ``at`` on. ``connection`` counts the connections of this leg from this node, from 1."""

    type: Literal["start"] = "start"
    version: Literal[1] = 1
    call_id: CallId
    role: PartyRole
    user_id: Name
    otomo_id: Name
    connection: Annotated[int, Meta(ge=1)]
    at: Timestamp
    encoding: Literal["s16le"] = "s16le"
    sample_rate: Literal[16_000] = 16_000
    channels: Literal[1] = 1
    frame_ms: Literal[20] = 20


class StreamGap(Answer, frozen=True, kw_only=True):
    """So many frames are missing before the next one, because the receiver was too slow."""

    type: Literal["gap"] = "gap"
    frames: Count


class StreamEnd(Answer, frozen=True, kw_only=True):
    """The leg is over: its call has ended, or goes on at another node, which connects anew."""

    type: Literal["end"] = "end"
    reason: Word
