"""Bodies about supervision: an admin who listens in a call, whispers to one of its parties, or speaks to both."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.types import MAX_REASON, CallId, Name, PartyRole, Timestamp
from worker_bridge.value import PRINTABLE

SupervisionMode = Literal["listen", "whisper", "barge"]
SupervisionEnd = Literal["ended", "call_ended", "token_expired", "token_withdrawn", "absent"]
"""Why a supervision is over: an admin ended it; its call ended; its admin's token was over, or revoked; its admin had
no transport for a minute."""
GivenReason = Annotated[str, Meta(min_length=1, max_length=MAX_REASON), PRINTABLE]


class SuperviseRequest(Body, frozen=True):
    """What an admin wants in a call, and why. ``to`` is whom a whisper is for, and given with that alone."""

    mode: SupervisionMode
    reason: GivenReason
    to: PartyRole | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_whisper(self.mode, self.to)


class SupervisionChange(Body, frozen=True):
    """What the admin wants from now on. ``to`` is whom a whisper is for, and given with that alone."""

    mode: SupervisionMode
    to: PartyRole | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_whisper(self.mode, self.to)


class SupervisionBody(Answer, frozen=True, kw_only=True):
    """Who supervises a call, and how; ``to`` is null but in a whisper."""

    supervision_id: Name
    call_id: CallId
    admin_id: Name
    mode: SupervisionMode
    to: PartyRole | None
    since: Timestamp


class SupervisionList(Answer, frozen=True):
    """Who supervises a call now, in the order in which they began; ``enabled`` is whether the settings let anybody."""

    enabled: bool
    supervisions: tuple[SupervisionBody, ...]


class SupervisionEnded(Answer, frozen=True):
    ended: Literal[True] = True


def check_whisper(mode: SupervisionMode, to: PartyRole | UnsetType) -> None:
    """Raises ValueError."""
    if (mode == "whisper") is (to is UNSET):
        raise ValueError("to: must be given with whisper, and with nothing else")
