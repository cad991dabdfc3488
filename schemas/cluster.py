"""Bodies that nodes of a cluster send one another."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from schemas.base import Answer, Body
from schemas.quality import FlagLine
from schemas.types import PAGE_LIMIT, CallId, Count, Mos, Name, Points


class TakeCall(Body, frozen=True, kw_only=True):
    """A connected call that its owner gives away: in which room it is, and how much was talked up to when (UTC ms)."""

    owner: Name
    epoch: Count
    talked_ms: Points
    proven_at_ms: Points


class CallTaken(Answer, frozen=True):
    """The call lives on the node that answers this."""

    taken: bool = True


class LookAtCalls(Body, frozen=True):
    """Which calls of a list the node that is asked should say more about."""

    call_ids: Annotated[tuple[CallId, ...], Meta(max_length=PAGE_LIMIT)]


class SeenCall(Answer, frozen=True, kw_only=True):
    """What of a live call is not stored, as its node sees it now."""

    call_id: CallId
    worker: Count | None
    talk_seconds: Count
    flags: tuple[FlagLine, ...]
    mos: Mos | None


class SeenCalls(Answer, frozen=True):
    """Those of the calls that live on the node."""

    calls: tuple[SeenCall, ...]
