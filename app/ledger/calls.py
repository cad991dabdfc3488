"""Calls as rows: opened, moved forward, ended once, and read. Knows nothing of media, timers or sockets.

The call's row is locked before anything about the call is decided (SQLite: the whole database is), so that of two who
want to move a call one finds it moved. Openings and ends that wait for the same commit are done together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, func, or_, select

from app.ledger import events, news
from app.ledger.bulk import BulkInsert, BulkLock, BulkUpdate, Row
from app.ledger.errors import CallExists, PartyBusy, StaleState, UnknownCall
from app.ledger.paging import page
from app.ledger.tables import call_records, call_transitions, call_units, calls
from app.ledger.values import (
    LIVE_STATES,
    Billing,
    Call,
    CallState,
    Changed,
    Ended,
    EndedBy,
    Event,
    NewCall,
    NewEvent,
    Noted,
    Page,
    Record,
    Transition,
    Unit,
)

COLUMNS = tuple(one.name for one in fields(Call))
STEP = ("call_id", "state", "cause", "at_ms")
LOCK = BulkLock(calls, COLUMNS)
ADD = BulkInsert(calls, COLUMNS, unless_there=True)
ADD_TRANSITIONS = BulkInsert(call_transitions, STEP)
RECORD = tuple(one.name for one in fields(Record))
ADD_RECORDS = BulkInsert(call_records, ("call_id", *RECORD))

TIME_OF = {CallState.MATCHED: "accepted_at_ms", CallState.TALKING: "connected_at_ms"}  # which time a state sets


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


@dataclass(frozen=True, slots=True)
class Ending:
    """A call to end. ``told`` is stored before the ``call_end`` of both parties; ``before`` is a noted step."""

    call_id: str
    end: End
    told: tuple[NewEvent, ...]
    before: Noted | None
    record: Record | None = None


def open_many(tx: Connection, openings: Sequence[Opening]) -> list[Changed]:
    """All of them, or none: whoever is refused is refused again on its own."""
    opened = [_opened(opening) for opening in openings]
    rows = [{name: getattr(call, name) for name in COLUMNS} for call in opened]
    while ADD(tx, rows) < len(rows):  # a unique index stands against one: the id's, or one of the busy rule's
        for call in opened:
            _refuse(tx, call)
    begun = [(one.new, state) for one in openings for state in one.new.states]
    _add_transitions(tx, ((new.id, state, new.cause, new.created_at_ms) for new, state in begun))
    told = events.append_each(tx, [events.drafts(one.told, one.new.created_at_ms) for one in openings])
    return [Changed(call, stored) for call, stored in zip(opened, told, strict=True)]


def _opened(opening: Opening) -> Call:
    new = opening.new
    return Call(
        id=new.id,
        user_id=new.user_id,
        otomo_id=new.otomo_id,
        state=new.states[-1],
        exclusive=new.exclusive,
        node=opening.node,
        price_per_minute=new.price_per_minute,
        created_at_ms=new.created_at_ms,
        accepted_at_ms=new.created_at_ms if CallState.MATCHED in new.states else None,
    )


def _refuse(tx: Connection, call: Call) -> None:
    """Say what stood against the call; comes back only if that has gone away meanwhile."""
    if tx.scalar(select(calls.c.id).where(calls.c.id == call.id)) is not None:
        raise CallExists(call.id)
    live = calls.c.exclusive & (calls.c.state != CallState.ENDED)
    busy_user = tx.scalar(select(calls.c.id).where(live, calls.c.user_id == call.user_id))
    if busy_user is not None:
        raise PartyBusy("user", call.user_id, busy_user)
    busy_otomo = tx.scalar(select(calls.c.id).where(live, calls.c.otomo_id == call.otomo_id))
    if busy_otomo is not None:
        raise PartyBusy("otomo", call.otomo_id, busy_otomo)


def note(tx: Connection, noted: Sequence[Noted], told: Sequence[events.Draft]) -> tuple[Event, ...]:
    """Take steps that nobody waits for. A call that is gone, or past the step already, stays as it is."""
    if noted:
        locked = lock(tx, [one.call_id for one in noted])
        due = [one for one in noted if one.call_id in locked and locked[one.call_id].state.precedes(one.state)]
        if due:
            update_many(tx, [{"id": one.call_id, "state": one.state} for one in due])
            _add_transitions(tx, [(one.call_id, one.state, one.cause, one.at_ms) for one in due])
    return events.append(tx, told)


def _with_noted(tx: Connection, call: Call, before: Noted | None) -> Call:
    """The call with a noted step that comes before the one that is asked for."""
    if before is None or not call.state.precedes(before.state):
        return call
    _add_transitions(tx, [(call.id, before.state, before.cause, before.at_ms)])
    return replace(call, state=before.state)


def move(
    tx: Connection,
    call_id: str,
    to: CallState,
    cause: str,
    at_ms: int,
    told: Iterable[NewEvent],
    before: Noted | None = None,
) -> Changed:
    call = (lock(tx, [call_id])).get(call_id)
    if call is None:
        raise UnknownCall(call_id)
    call = _with_noted(tx, call, before)
    if not call.state.precedes(to):
        raise StaleState(call_id, call.state)
    changes: dict[str, Any] = {"state": to}
    if to in TIME_OF:
        changes[TIME_OF[to]] = at_ms
    if to is CallState.TALKING:
        changes["last_rtp_at_ms"] = at_ms  # the first packet is what connects a call
    update_many(tx, [{"id": call_id, **changes}])
    _add_transitions(tx, [(call_id, to, cause, at_ms)])
    return Changed(replace(call, **changes), events.append(tx, events.drafts(told, at_ms)))


def end_many(tx: Connection, endings: Sequence[Ending]) -> list[Ended]:
    """All of them, or none where one is unknown. What has ended already is answered as it was stored."""
    locked = lock(tx, {ending.call_id for ending in endings})
    unknown = next((ending.call_id for ending in endings if ending.call_id not in locked), None)
    if unknown is not None:
        raise UnknownCall(unknown)
    due: dict[str, Ending] = {}
    for one in endings:
        if locked[one.call_id].state is not CallState.ENDED:
            due.setdefault(one.call_id, one)
    records = [(one.call_id, one.record) for one in due.values() if one.record is not None]
    ADD_RECORDS(tx, [{"call_id": call_id} | {name: getattr(one, name) for name in RECORD} for call_id, one in records])
    ended = end_all(tx, [(_with_noted(tx, locked[one.call_id], one.before), one.end) for one in due.values()])
    last_words = [
        events.drafts([*one.told, *news.call_ended(call)], one.end.ended_at_ms)
        for one, call in zip(due.values(), ended, strict=True)
    ]
    told = events.append_each(tx, last_words)
    new = {call.id: Ended(call, stored) for call, stored in zip(ended, told, strict=True)}
    return [new.pop(one.call_id) if one.call_id in new else _ended_before(tx, one.call_id) for one in endings]


def _ended_before(tx: Connection, call_id: str) -> Ended:
    [call] = lock(tx, [call_id]).values()
    return Ended(call, events.of_type(tx, call_id, news.CALL_END), already=True)


def end_all(tx: Connection, endings: Sequence[tuple[Call, End]]) -> list[Call]:
    """End calls whose rows are locked. The totals are the sums of the stored units; nobody is told yet."""
    totals = _totals(tx, [call.id for call, _ in endings if call.connected_at_ms is not None])
    ended = [
        replace(
            call,
            state=CallState.ENDED,
            ended_at_ms=end.ended_at_ms,
            end_reason=end.reason,
            duration_seconds=end.duration_seconds,
            billed_units=totals.get(call.id, (0, 0))[0],
            billed_points=totals.get(call.id, (0, 0))[1],
        )
        for call, end in endings
    ]
    changed = ("state", "ended_at_ms", "end_reason", "duration_seconds", "billed_units", "billed_points")
    update_many(tx, [{"id": call.id} | {name: getattr(call, name) for name in changed} for call in ended])
    steps = (CallState.ENDING, CallState.ENDED)
    _add_transitions(tx, ((call.id, step, end.cause, end.ended_at_ms) for call, end in endings for step in steps))
    return ended


def update_many(tx: Connection, rows: Sequence[Row]) -> None:
    """Set the columns that the rows name, each row by its ``id``, which comes first. The rows must be locked."""
    if rows:
        _update(tuple(rows[0]))(tx, rows)


@cache
def _update(names: tuple[str, ...]) -> BulkUpdate:
    return BulkUpdate(calls, names)


def lock(tx: Connection, call_ids: Collection[str]) -> dict[str, Call]:
    """The calls that exist, locked until the commit."""
    return {row["id"]: call_of(row) for row in LOCK(tx, call_ids)}


def call(tx: Connection, call_id: str) -> Call | None:
    row = tx.execute(select(calls).where(calls.c.id == call_id)).mappings().one_or_none()
    return None if row is None else call_of(row)


def list_calls(
    tx: Connection, party_id: str | None, states: Collection[CallState], limit: int, cursor: str | None
) -> Page[Call]:
    query = select(calls)
    if party_id is not None:
        query = query.where(or_(calls.c.user_id == party_id, calls.c.otomo_id == party_id))
    if states:
        query = query.where(calls.c.state.in_(states))
    return page(tx, query, (calls.c.created_at_ms, calls.c.id), call_of, limit=limit, cursor=cursor)


def open_calls(tx: Connection, node: str, *, locked: bool = False) -> tuple[Call, ...]:
    query = select(calls).where(calls.c.state.in_(LIVE_STATES), calls.c.node == node).order_by(calls.c.id)
    return tuple(call_of(row) for row in tx.execute(query.with_for_update() if locked else query).mappings())


def timeline(tx: Connection, call_id: str) -> tuple[Transition, ...]:
    query = select(call_transitions).where(call_transitions.c.call_id == call_id).order_by(call_transitions.c.id)
    return tuple(
        Transition(CallState(row["state"]), row["cause"], row["at_ms"]) for row in tx.execute(query).mappings()
    )


def billing(tx: Connection, call_id: str) -> Billing:
    query = select(call_units).where(call_units.c.call_id == call_id).order_by(call_units.c.unit_index)
    units = tuple(unit_of(row) for row in tx.execute(query).mappings())
    return Billing(call_id, units, sum(unit.points for unit in units))


def record(tx: Connection, call_id: str) -> Record | None:
    query = select(*(call_records.c[name] for name in RECORD)).where(call_records.c.call_id == call_id)
    row = tx.execute(query).mappings().one_or_none()
    if row is None:
        return None
    lists = {name: tuple(row[name]) for name in ("quality", "flags", "transports")}
    return Record(**{**row, **lists, "ended_by": EndedBy(row["ended_by"])})


def call_of(row: RowMapping | Row) -> Call:
    return Call(**{**row, "state": CallState(row["state"]), "exclusive": bool(row["exclusive"])})


def unit_of(row: RowMapping) -> Unit:
    return Unit(**{"index" if name == "unit_index" else name: value for name, value in row.items()})


def _totals(tx: Connection, call_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """How many units each call has, and their sum; of calls that were connected, since others have none."""
    if not call_ids:
        return {}
    counted = select(call_units.c.call_id, func.count(), func.sum(call_units.c.points)).group_by(call_units.c.call_id)
    rows = tx.execute(counted.where(call_units.c.call_id.in_(call_ids)))
    return {call_id: (units, int(points)) for call_id, units, points in rows}


def _add_transitions(tx: Connection, steps: Iterable[tuple[str, CallState, str, int]]) -> None:
    ADD_TRANSITIONS(tx, [dict(zip(STEP, step, strict=True)) for step in steps])
