"""The steps of a stored call: it is opened, moves on, gets another room, ends. A step is made where it is decided, and
passed down unchanged.

``epoch`` numbers a call's rooms, from 1. Each step names the room that it is for; where the call is in another room by
now, or another node's, it is refused (Fenced). Times are UTC in milliseconds (``_ms``). Knows no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.ledger.values import NewCall, NewEvent, Record
from schemas.call import CallState, InterruptionReason, MoveReason
from schemas.types import PartyRole

FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Talked:
    """How long both parties were proven to be there, and the last moment at which they were."""

    talked_ms: int
    proven_at_ms: int


@dataclass(frozen=True, slots=True)
class DeferredStep:
    """A step that nobody waits for: it is stored with the call's next step, or else soon, with others."""

    call_id: str
    epoch: int
    state: CallState
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class DeferredSteps:
    """Steps that nobody waits for, and events that belong to no step."""

    steps: tuple[DeferredStep, ...]
    told: tuple[NewEvent, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A call to open, and its events. One that begins ``matched`` has a room, on that worker."""

    call: NewCall
    told: tuple[NewEvent, ...] = ()
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class Interruption:
    """Why a call is interrupted, and by which party: None where its room is lost. Its clock has stopped at
    ``since_ms``."""

    reason: InterruptionReason
    role: PartyRole | None
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """A call to move to a later state, or from ``talking`` to ``interrupted`` and back, and its events.

    ``worker`` is where its first room is, for ``matched``; ``interruption`` and ``talked`` go with ``interrupted``.
    ``deferred`` is an earlier step that is not stored yet.
    """

    call_id: str
    epoch: int
    to: CallState
    cause: str
    at_ms: int
    told: tuple[NewEvent, ...] = ()
    worker: int | None = None
    interruption: Interruption | None = None
    talked: Talked | None = None
    deferred: DeferredStep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaMove:
    """A call that gets another room, on that worker of this node: its epoch rises by one. ``epoch`` is the old one."""

    call_id: str
    epoch: int
    worker: int
    reason: MoveReason
    at_ms: int
    told: tuple[NewEvent, ...] = ()
    deferred: DeferredStep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A call to end. ``told`` are events that come before the ``call_end`` of both parties; ``cause`` is for the
    timeline; ``deferred`` is an earlier step that is not stored yet."""

    call_id: str
    epoch: int
    reason: str
    cause: str
    ended_at_ms: int
    talked_ms: int = 0
    told: tuple[NewEvent, ...] = ()
    record: Record | None = None
    deferred: DeferredStep | None = None


Change = Opening | Moving | MediaMove | DeferredSteps | Ending
