"""Bodies that nodes of a cluster send one another."""

from __future__ import annotations

from schemas.base import Answer, Body
from schemas.types import Count, Name, Points


class TakeCall(Body, frozen=True, kw_only=True):
    """A connected call that its owner gives away: in which room it is, and how much was talked up to when (UTC ms)."""

    owner: Name
    epoch: Count
    talked_ms: Points
    proven_at_ms: Points


class CallTaken(Answer, frozen=True):
    """The call lives on the node that answers this."""

    taken: bool = True
