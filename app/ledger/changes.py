"""How calls change: opened, moved on, given another room, ended once. All changes that wait for the same commit are
made together.

New calls are added and the others locked; then each change is applied in memory, in the order of the requests, and the
result is stored table by table. So a commit takes a handful of statements, however many calls change in it. A refused
change raises: then nothing is stored, and each change is tried again on its own.

A change names the node and the room that it is for; both are compared with the locked row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, select, update

from app.ledger import billing_events, calls, events, parties
from app.ledger.bulk import BulkInsert
from app.ledger.calls import COLUMNS
from app.ledger.columns import storable
from app.ledger.errors import CallExists, Fenced, StaleState, UnknownCall
from app.ledger.steps import Change, DeferredStep, DeferredSteps, Ending, Interruption, MediaMove, Moving, Opening
from app.ledger.tables import (
    call_interruptions,
    call_metadata,
    call_records,
    call_segments,
    call_transitions,
    call_units,
)
from app.ledger.tables import calls as call_table
from app.ledger.values import Call, Changed, Ended, Event, Record, Segment
from schemas.call import CallState

STEP = ("call_id", "state", "cause", "at_ms")
ADD = BulkInsert(call_table, unless_there=True)
ADD_METADATA = BulkInsert(call_metadata)
ADD_STEPS = BulkInsert(call_transitions)
ADD_RECORDS = BulkInsert(call_records)
ADD_SEGMENTS = BulkInsert(call_segments)
ADD_INTERRUPTIONS = BulkInsert(call_interruptions)
CHANGES = (  # the columns of a call that a change may touch
    "id",
    "state",
    "node",
    "accepted_at_ms",
    "connected_at_ms",
    "proven_at_ms",
    "ended_at_ms",
    "end_reason",
    "duration_seconds",
    "billed_units",
    "billed_points",
    "epoch",
    "talked_ms",
)

TIME_OF = {CallState.MATCHED: "accepted_at_ms", CallState.TALKING: "connected_at_ms"}  # the time that a state sets


def extend(tx: Connection, node: str, call_id: str, seconds: int) -> Call:
    """Raise a live call's longest duration. Raises UnknownCall, Fenced, StaleState where it has ended."""
    call = locked_live(tx, node, call_id)
    longer = replace(call, extended_seconds=call.extended_seconds + seconds)
    calls.update_many(tx, [{"id": call_id, "extended_seconds": longer.extended_seconds}])
    return longer


def hold(tx: Connection, node: str, call_id: str, since_ms: int | None, music: str | None) -> Call:
    """Put a live call on hold, with or without music; or take it off, where ``since_ms`` is None. Raises UnknownCall,
    Fenced, StaleState where it has ended."""
    held = replace(locked_live(tx, node, call_id), held_since_ms=since_ms, held_music=music)
    calls.update_many(tx, [{"id": call_id, "held_since_ms": since_ms, "held_music": music}])
    return held


def locked_live(tx: Connection, node: str, call_id: str) -> Call:
    """A live call of this node, locked. Raises UnknownCall, Fenced, StaleState where it has ended."""
    call = calls.lock(tx, [call_id]).get(call_id)
    if call is None:
        raise UnknownCall(call_id)
    if call.state is CallState.ENDED:
        raise StaleState(call_id, call.state)
    if call.node != node:
        raise Fenced(call_id)
    return call


Totals = Mapping[str, tuple[int, int]]
Answer = Callable[[tuple[Event, ...]], Any]
"""Makes a change's answer from its stored events."""


def make(tx: Connection, changes: Sequence[tuple[str, Change]]) -> list[Any]:
    """Make all changes or none, each for its node. Returns for each one a Changed, an Ended, or the events stored with
    deferred steps."""
    new = [new_call(node, change) for node, change in changes if isinstance(change, Opening)]
    _add(tx, new)
    locked = calls.lock(tx, {call_id for _, change in changes for call_id in _concerned(change)})
    ending = {change.call_id for _, change in changes if isinstance(change, Ending)}
    billed = totals(tx, [locked[call_id] for call_id in ending & locked.keys()])
    batch = ChangeBatch({call.id: call for call in new} | locked, billed)
    applied = [batch.apply(tx, node, change) for node, change in changes]
    batch.write(tx)
    told = events.append_each(tx, [drafts for drafts, _ in applied], batch.calls)
    return [answer(stored) for (_, answer), stored in zip(applied, told, strict=True)]


def new_call(node: str, opening: Opening) -> Call:
    new = opening.call
    return Call(
        id=new.id,
        user_id=new.user_id,
        otomo_id=new.otomo_id,
        state=new.states[-1],
        exclusive=new.exclusive,
        node=node,
        price_per_minute=new.price_per_minute,
        created_at_ms=new.created_at_ms,
        accepted_at_ms=new.created_at_ms if CallState.MATCHED in new.states else None,
        metadata=new.metadata,
        tariff=new.tariff,
    )


class ChangeBatch:
    """The calls of a batch, new or locked; what those that end were billed; and what is to be written about them."""

    def __init__(self, concerned: dict[str, Call], billed: Totals) -> None:
        self._calls = concerned
        self._billed = billed
        self._changed: set[str] = set()
        self._steps: list[tuple[str, CallState, str, int]] = []
        self._records: dict[str, Record] = {}
        self._segments: list[tuple[str, Segment]] = []
        self._interrupted: list[tuple[str, Interruption]] = []
        self._resumed: list[tuple[str, int]] = []

    def apply(self, tx: Connection, node: str, change: Change) -> tuple[list[events.Draft], Answer]:
        """Decide a change, to be written later. Returns its events, and what makes its answer from them."""
        match change:
            case Opening(call=new):
                self._steps += ((new.id, state, new.cause, new.created_at_ms) for state in new.states)
                self._begin_segment(self._calls[new.id], change.worker, new.created_at_ms)
                return events.drafts(change.told, new.created_at_ms), partial(Changed, self._calls[new.id])
            case Moving():
                return events.drafts(change.told, change.at_ms), partial(Changed, self._move(node, change))
            case MediaMove(call_id=call_id):
                if self._is_moved(node, change):
                    return [], partial(Changed, self._call(call_id))
                return events.drafts(change.told, change.at_ms), partial(Changed, self._move_media(node, change))
            case DeferredSteps():
                self._apply_deferred(node, change.steps)
                mine = (event for event in change.told if self._may_tell(node, event.call_id))
                return events.drafts(mine, change.at_ms), tuple
            case Ending(call_id=call_id):
                if self._call(call_id).state is CallState.ENDED:
                    return [], partial(_ended_before, tx, call_id)
                ended = self._end(node, change)
                told = [*change.told, *billing_events.call_ended(ended)]
                return events.drafts(told, change.ended_at_ms), partial(Ended, ended)

    @property
    def calls(self) -> Mapping[str, Call]:
        """As they stand now."""
        return self._calls

    def _call(self, call_id: str) -> Call:
        if call_id not in self._calls:
            raise UnknownCall(call_id)
        return self._calls[call_id]

    def _own(self, node: str, change: Moving | MediaMove | Ending) -> Call:
        """The call of a change. Raises Fenced where it belongs to another node, or is in another room."""
        call = self._call(change.call_id)
        if (call.node, call.epoch) != (node, change.epoch):
            raise Fenced(call.id)
        return call

    def _may_tell(self, node: str, call_id: str | None) -> bool:
        call = self._calls.get(call_id) if call_id is not None else None
        return call is None or (call.node == node and call.state is not CallState.ENDED)

    def _change(self, call: Call) -> Call:
        self._changed.add(call.id)
        self._calls[call.id] = call
        return call

    def _move(self, node: str, moving: Moving) -> Call:
        self._apply_deferred(node, [moving.deferred] if moving.deferred else ())
        call = self._own(node, moving)
        if not call.state.may_become(moving.to):
            raise StaleState(call.id, call.state)
        changes: dict[str, Any] = {"state": moving.to}
        if moving.to in TIME_OF and call.connected_at_ms is None:
            changes[TIME_OF[moving.to]] = moving.at_ms
        if moving.to is CallState.TALKING:  # by a packet
            changes["proven_at_ms"] = moving.at_ms
        if moving.talked is not None:
            changes |= asdict(moving.talked)
        if moving.interruption is not None:
            self._interrupted.append((call.id, moving.interruption))
        if call.state is CallState.INTERRUPTED:
            self._resumed.append((call.id, moving.at_ms))
        self._begin_segment(call, moving.worker, moving.at_ms)
        self._steps.append((call.id, moving.to, moving.cause, moving.at_ms))
        return self._change(replace(call, **changes))

    def _is_moved(self, node: str, move: MediaMove) -> bool:
        """Whether an earlier try was stored, together with its events."""
        call = self._call(move.call_id)
        return (call.node, call.epoch) == (node, move.epoch + 1)

    def _move_media(self, node: str, move: MediaMove) -> Call:
        self._apply_deferred(node, [move.deferred] if move.deferred else ())
        call = self._own(node, move)
        if call.state is CallState.ENDED:
            raise Fenced(call.id)
        moved = replace(call, epoch=move.epoch + 1)
        self._begin_segment(moved, move.worker, move.at_ms, move)
        return self._change(moved)

    def _begin_segment(self, call: Call, worker: int | None, at_ms: int, move: MediaMove | None = None) -> None:
        if worker is not None:
            reason = None if move is None else move.reason
            self._segments.append((call.id, Segment(call.epoch, call.node, worker, at_ms, call.talked_ms, reason)))

    def _apply_deferred(self, node: str, steps: Iterable[DeferredStep]) -> None:
        """Apply a deferred step. A call that is gone, past that step, or another node's stays as it is."""
        for one in steps:
            call = self._calls.get(one.call_id)
            own = call is not None and (call.node, call.epoch) == (node, one.epoch)
            if call is not None and own and call.state.precedes(one.state):
                self._steps.append((call.id, one.state, one.cause, one.at_ms))
                self._change(replace(call, state=one.state))

    def _end(self, node: str, ending: Ending) -> Call:
        self._apply_deferred(node, [ending.deferred] if ending.deferred else ())
        call = self._own(node, ending)
        if ending.record is not None:
            self._records[ending.call_id] = ending.record
        return self.end(call, ending)

    def end(self, call: Call, ending: Ending) -> Call:
        """End a call that has not ended. The totals are the sums of the stored units."""
        units, points = self._billed.get(call.id, (0, 0))
        steps = (CallState.ENDING, CallState.ENDED)
        self._steps += ((call.id, step, ending.cause, ending.ended_at_ms) for step in steps)
        if call.state is CallState.INTERRUPTED:
            self._resumed.append((call.id, ending.ended_at_ms))
        talked_ms = max(call.talked_ms, ending.talked_ms)
        return self._change(
            replace(
                call,
                state=CallState.ENDED,
                ended_at_ms=ending.ended_at_ms,
                end_reason=storable(ending.reason),
                duration_seconds=talked_ms // 1000,
                talked_ms=talked_ms,
                billed_units=units,
                billed_points=points,
            )
        )

    def take(self, call: Call, node: str) -> Call:
        """Make another node's call this node's. It has no room here yet."""
        return self._change(replace(call, node=node))

    def interrupt(self, call: Call, interruption: Interruption | None, cause: str) -> Call:
        """Interrupt a call that has lost its room; ``interruption`` is None where it was interrupted before."""
        if interruption is not None:
            self._interrupted.append((call.id, interruption))
            self._steps.append((call.id, CallState.INTERRUPTED, cause, interruption.since_ms))
        return self._change(replace(call, state=CallState.INTERRUPTED))

    def write(self, tx: Connection) -> None:
        """Store all that was decided."""
        changed = [self._calls[call_id] for call_id in self._changed]
        parties.release(tx, (call for call in changed if call.state is CallState.ENDED))
        calls.update_many(tx, [{name: getattr(call, name) for name in CHANGES} for call in changed])
        ADD_RECORDS(tx, [{"call_id": call_id} | calls.row_of(one) for call_id, one in self._records.items()])
        ADD_STEPS(tx, [dict(zip(STEP, step, strict=True)) for step in self._steps])
        ADD_SEGMENTS(tx, [{"call_id": call_id} | asdict(segment) for call_id, segment in self._segments])
        ADD_INTERRUPTIONS(tx, [{"call_id": call_id} | asdict(one) for call_id, one in self._interrupted])
        if self._resumed:
            tx.execute(CLOSE_INTERRUPTION, [{"of_call": call_id, "at_ms": at} for call_id, at in self._resumed])


AT = bindparam("at_ms", type_=call_interruptions.c.since_ms.type)
# An interruption ends when both are there again or the call ends, which may be dated before it began.
CLOSE_INTERRUPTION = (
    update(call_interruptions)
    .where(call_interruptions.c.call_id == bindparam("of_call"), call_interruptions.c.until_ms.is_(None))
    .values(until_ms=case((call_interruptions.c.since_ms > AT, call_interruptions.c.since_ms), else_=AT))
)


def totals(tx: Connection, ending: Collection[Call]) -> Totals:
    """The number of units of each call, and their sum; only of calls that were connected, since others have none."""
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
        case DeferredSteps(steps=steps, told=told):
            told_of = (event.call_id for event in told if event.call_id is not None)
            return {*(one.call_id for one in steps), *told_of}
        case Moving(call_id=call_id) | MediaMove(call_id=call_id) | Ending(call_id=call_id):
            return (call_id,)


def _add(tx: Connection, new: Sequence[Call]) -> None:
    """Insert new calls. Raises CallExists, PartyBusy."""
    rows = [
        {name: getattr(call, name) for name in COLUMNS} | {"tariff": calls.tariff_text(call.tariff)} for call in new
    ]
    while ADD(tx, rows) < len(rows):  # an id is taken, or was a moment ago
        for call in new:
            if tx.scalar(select(call_table.c.id).where(call_table.c.id == call.id)) is not None:
                raise CallExists(call.id)
    parties.occupy(tx, new)
    ADD_METADATA(tx, [texts for call in new for texts in calls.texts_of(call)])


def _ended_before(tx: Connection, call_id: str, _: tuple[Event, ...]) -> Ended:
    [call] = calls.lock(tx, [call_id]).values()
    return Ended(call, events.of_type(tx, call_id, billing_events.CALL_END), already=True)
