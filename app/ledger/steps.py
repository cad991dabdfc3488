"""What may happen to a stored call: it is opened, moves on, gets another room, ends. Made where it is decided, and
handed down unchanged.

``epoch`` numbers the rooms that a call had, from 1. Each step names the one that it is about: a call that is in another
room by now, or another node's, refuses it (Fenced). Times are UTC in milliseconds (``_ms``). Knows no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.ledger.values import NewCall, NewEvent, Record
from schemas.call import CallState, InterruptionReason, MoveReason
from schemas.types import PartyRole

FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Talked:
    """For how long both parties were proven to be there, and the last moment at which they were."""

    talked_ms: int
    proven_at_ms: int


@dataclass(frozen=True, slots=True)
class DeferredStep:
    """A step that nobody waits for: stored soon, with others, or with the call's next step."""

    call_id: str
    epoch: int
    state: CallState
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class DeferredSteps:
    """Steps that nobody waits for, and what is told besides."""

    steps: tuple[DeferredStep, ...]
    told: tuple[NewEvent, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A call to open, and what is told about it. One that begins ``matched`` has a room, on that worker."""

    call: NewCall
    told: tuple[NewEvent, ...] = ()
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class Interruption:
    """Why a call is interrupted, and by whom: None where its room is lost. The clock stands since ``since_ms``."""

    reason: InterruptionReason
    role: PartyRole | None
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """A call to move to a later state, or from ``talking`` to ``interrupted`` and back; and what is told about it.

    ``worker`` is where its first room is, for ``matched``; ``interruption`` and ``talked`` go with ``interrupted``.
    ``deferred`` is a step that waited for this one.
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
    """A call to end. ``told`` is stored before the ``call_end`` of both parties; ``cause`` is for the timeline;
    ``deferred`` is not stored yet."""

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
