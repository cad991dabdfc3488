"""How calls change: opened, moved forward, ended once. All changes that wait for the same commit are made together.

New calls are added and the others locked; then each change is applied in memory, in the order in which they were asked
for, and what came of it is stored table by table. So a commit costs a handful of statements however many calls change
in it, and however. One that is refused raises: then nothing is stored, and each is made again on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select

from app.ledger import billing_events, calls, events, parties
from app.ledger.bulk import BulkInsert
from app.ledger.calls import COLUMNS, RECORD
from app.ledger.errors import CallExists, StaleState, UnknownCall
from app.ledger.tables import call_records, call_transitions, call_units, storable
from app.ledger.tables import calls as call_table
from app.ledger.values import Call, Changed, DeferredStep, Ended, Event, NewCall, NewEvent, Record
from schemas.call import CallState

STEP = ("call_id", "state", "cause", "at_ms")
ADD = BulkInsert(call_table, COLUMNS, unless_there=True)
ADD_STEPS = BulkInsert(call_transitions, STEP)
ADD_RECORDS = BulkInsert(call_records, ("call_id", *RECORD))
CHANGES = (  # the columns of a call that a change may touch
    "id",
    "state",
    "accepted_at_ms",
    "connected_at_ms",
    "last_rtp_at_ms",
    "ended_at_ms",
    "end_reason",
    "duration_seconds",
    "billed_units",
    "billed_points",
)

TIME_OF = {CallState.MATCHED: "accepted_at_ms", CallState.TALKING: "connected_at_ms"}  # which time a state sets

Totals = Mapping[str, tuple[int, int]]
Answer = Callable[[tuple[Event, ...]], Any]
"""What a change answers, once its events are stored."""


@dataclass(frozen=True, slots=True)
class End:
    """How a call ends; ``cause`` is for the timeline."""

    reason: str
    cause: str
    ended_at_ms: int
    duration_seconds: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A call to open, on which node, and what is told about it."""

    node: str
    new: NewCall
    told: tuple[NewEvent, ...]

    @property
    def call(self) -> Call:
        new = self.new
        return Call(
            id=new.id,
            user_id=new.user_id,
            otomo_id=new.otomo_id,
            state=new.states[-1],
            exclusive=new.exclusive,
            node=self.node,
            price_per_minute=new.price_per_minute,
            created_at_ms=new.created_at_ms,
            accepted_at_ms=new.created_at_ms if CallState.MATCHED in new.states else None,
        )


@dataclass(frozen=True, slots=True)
class Moving:
    """A call to move forward, and what is told about it. ``deferred`` is not stored yet."""

    call_id: str
    to: CallState
    cause: str
    at_ms: int
    told: tuple[NewEvent, ...]
    deferred: DeferredStep | None


@dataclass(frozen=True, slots=True)
class DeferredSteps:
    """Steps that nobody waits for, and what is told besides."""

    steps: tuple[DeferredStep, ...]
    told: tuple[NewEvent, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Ending:
    """A call to end. ``told`` is stored before the ``call_end`` of both parties; ``deferred`` is not stored yet."""

    call_id: str
    end: End
    told: tuple[NewEvent, ...]
    deferred: DeferredStep | None
    record: Record | None


Change = Opening | Moving | DeferredSteps | Ending


def make(tx: Connection, changes: Sequence[Change]) -> list[Any]:
    """Make all of them, or none. Returns for each a Changed, an Ended, or the events stored with deferred steps."""
    new = [change.call for change in changes if isinstance(change, Opening)]
    _add(tx, new)
    locked = calls.lock(tx, {call_id for change in changes for call_id in _concerned(change)})
    ending = {change.call_id for change in changes if isinstance(change, Ending)}
    billed = totals(tx, [locked[call_id] for call_id in ending & locked.keys()])
    batch = ChangeBatch({call.id: call for call in new} | locked, billed)
    applied = [batch.apply(tx, change) for change in changes]
    batch.write(tx)
    told = events.append_each(tx, [drafts for drafts, _ in applied])
    return [answer(stored) for (_, answer), stored in zip(applied, told, strict=True)]


class ChangeBatch:
    """Calls that are new or locked, what those that end were billed, and what is to be written about them."""

    def __init__(self, concerned: dict[str, Call], billed: Totals) -> None:
        self._calls = concerned
        self._billed = billed
        self._changed: set[str] = set()
        self._steps: list[tuple[str, CallState, str, int]] = []
        self._records: dict[str, Record] = {}

    def apply(self, tx: Connection, change: Change) -> tuple[list[events.Draft], Answer]:
        """Decide a change, to be written later. Returns what is told about it, and what answers it then."""
        match change:
            case Opening(new=new):
                self._steps += ((new.id, state, new.cause, new.created_at_ms) for state in new.states)
                return events.drafts(change.told, new.created_at_ms), partial(Changed, self._call(new.id))
            case Moving():
                return events.drafts(change.told, change.at_ms), partial(Changed, self._move(change))
            case DeferredSteps():
                self._apply_deferred(change.steps)
                return events.drafts(change.told, change.at_ms), tuple
            case Ending(call_id=call_id, end=end):
                if self._call(call_id).state is CallState.ENDED:
                    return [], partial(_ended_before, tx, call_id)
                ended = self._end(change)
                told = [*change.told, *billing_events.call_ended(ended)]
                return events.drafts(told, end.ended_at_ms), partial(Ended, ended)

    def _call(self, call_id: str) -> Call:
        if call_id not in self._calls:
            raise UnknownCall(call_id)
        return self._calls[call_id]

    def _change(self, call: Call) -> Call:
        self._changed.add(call.id)
        self._calls[call.id] = call
        return call

    def _move(self, moving: Moving) -> Call:
        self._apply_deferred([moving.deferred] if moving.deferred else ())
        call = self._call(moving.call_id)
        if not call.state.precedes(moving.to):
            raise StaleState(call.id, call.state)
        changes: dict[str, Any] = {"state": moving.to}
        if moving.to in TIME_OF:
            changes[TIME_OF[moving.to]] = moving.at_ms
        if moving.to is CallState.TALKING:
            changes["last_rtp_at_ms"] = moving.at_ms  # the first packet is what connects a call
        self._steps.append((call.id, moving.to, moving.cause, moving.at_ms))
        return self._change(replace(call, **changes))

    def _apply_deferred(self, steps: Iterable[DeferredStep]) -> None:
        """A call that is gone, or past the step already, stays as it is."""
        for one in steps:
            call = self._calls.get(one.call_id)
            if call is not None and call.state.precedes(one.state):
                self._steps.append((call.id, one.state, one.cause, one.at_ms))
                self._change(replace(call, state=one.state))

    def _end(self, ending: Ending) -> Call:
        self._apply_deferred([ending.deferred] if ending.deferred else ())
        if ending.record is not None:
            self._records[ending.call_id] = ending.record
        return self.end(self._call(ending.call_id), ending.end)

    def end(self, call: Call, end: End) -> Call:
        """End a call that has not ended. The totals are the sums of the stored units; nobody is told yet."""
        units, points = self._billed.get(call.id, (0, 0))
        self._steps += ((call.id, step, end.cause, end.ended_at_ms) for step in (CallState.ENDING, CallState.ENDED))
        return self._change(
            replace(
                call,
                state=CallState.ENDED,
                ended_at_ms=end.ended_at_ms,
                end_reason=storable(end.reason),
                duration_seconds=end.duration_seconds,
                billed_units=units,
                billed_points=points,
            )
        )

    def write(self, tx: Connection) -> None:
        """Store all that was decided."""
        changed = [self._calls[call_id] for call_id in self._changed]
        parties.release(tx, (call for call in changed if call.state is CallState.ENDED))
        calls.update_many(tx, [{name: getattr(call, name) for name in CHANGES} for call in changed])
        records = self._records.items()
        ADD_RECORDS(tx, [{"call_id": key} | {name: getattr(one, name) for name in RECORD} for key, one in records])
        ADD_STEPS(tx, [dict(zip(STEP, step, strict=True)) for step in self._steps])


def totals(tx: Connection, ending: Collection[Call]) -> Totals:
    """How many units each call has, and their sum; of calls that were connected, since others have none."""
    connected = [call.id for call in ending if call.connected_at_ms is not None]
    if not connected:
        return {}
    counted = select(call_units.c.call_id, func.count(), func.sum(call_units.c.points)).group_by(call_units.c.call_id)
    rows = tx.execute(counted.where(call_units.c.call_id.in_(connected)))
    return {call_id: (units, int(points)) for call_id, units, points in rows}


def _concerned(change: Change) -> Collection[str]:
    match change:
        case Opening():
            return ()
        case DeferredSteps(steps=steps):
            return [one.call_id for one in steps]
        case Moving(call_id=call_id) | Ending(call_id=call_id):
            return (call_id,)


def _add(tx: Connection, new: Sequence[Call]) -> None:
    """Raises CallExists, PartyBusy."""
    rows = [{name: getattr(call, name) for name in COLUMNS} for call in new]
    while ADD(tx, rows) < len(rows):  # an id is taken, or was until a moment ago
        for call in new:
            if tx.scalar(select(call_table.c.id).where(call_table.c.id == call.id)) is not None:
                raise CallExists(call.id)
    parties.occupy(tx, new)


def _ended_before(tx: Connection, call_id: str, _: tuple[Event, ...]) -> Ended:
    [call] = calls.lock(tx, [call_id]).values()
    return Ended(call, events.of_type(tx, call_id, billing_events.CALL_END), already=True)
