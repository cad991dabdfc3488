"""Calls as rows: opened, moved forward, ended once, and read. Knows nothing of media, timers or sockets.

The call's row is locked before anything about the call is decided (SQLite: the whole database is), so that of two who want
to move a call one finds it moved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import RowMapping, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.ledger import events, news
from app.ledger.errors import CallExists, PartyBusy, StaleState, UnknownCall
from app.ledger.paging import page
from app.ledger.tables import call_transitions, call_units, calls, insert_unless_there
from app.ledger.values import (
    LIVE_STATES,
    Billing,
    Call,
    CallState,
    Changed,
    Ended,
    NewCall,
    NewEvent,
    Page,
    Transition,
    Unit,
)

TIME_OF = {CallState.MATCHED: "accepted_at_ms", CallState.TALKING: "connected_at_ms"}  # which time a state sets


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call, whose row is locked, ends."""

    call: Call
    reason: str
    cause: str
    ended_at_ms: int
    duration_seconds: int


async def open_call(tx: AsyncConnection, node: str, new: NewCall, told: Iterable[NewEvent]) -> Changed:
    call = Call(
        id=new.id,
        user_id=new.user_id,
        otomo_id=new.otomo_id,
        state=new.states[-1],
        exclusive=new.exclusive,
        node=node,
        price_per_minute=new.price_per_minute,
        created_at_ms=new.created_at_ms,
        accepted_at_ms=new.created_at_ms if CallState.MATCHED in new.states else None,
    )
    while not await _insert(tx, call):
        await _refuse(tx, call)
    await _add_transitions(tx, ((call.id, state, new.cause, new.created_at_ms) for state in new.states))
    return Changed(call, await events.append(tx, events.drafts(told, new.created_at_ms)))


async def _insert(tx: AsyncConnection, call: Call) -> bool:
    """False where a unique index stands against it: the id's, or one of the busy rule's."""
    return await tx.scalar(insert_unless_there(tx, calls).returning(calls.c.id), asdict(call)) is not None


async def _refuse(tx: AsyncConnection, call: Call) -> None:
    """Say what stood against the call; comes back only if that has gone away meanwhile."""
    if await tx.scalar(select(calls.c.id).where(calls.c.id == call.id)) is not None:
        raise CallExists(call.id)
    live = calls.c.exclusive & (calls.c.state != CallState.ENDED)
    busy_user = await tx.scalar(select(calls.c.id).where(live, calls.c.user_id == call.user_id))
    if busy_user is not None:
        raise PartyBusy("user", call.user_id, busy_user)
    busy_otomo = await tx.scalar(select(calls.c.id).where(live, calls.c.otomo_id == call.otomo_id))
    if busy_otomo is not None:
        raise PartyBusy("otomo", call.otomo_id, busy_otomo)


async def move(
    tx: AsyncConnection, call_id: str, to: CallState, cause: str, at_ms: int, told: Iterable[NewEvent]
) -> Changed:
    call = (await lock(tx, [call_id])).get(call_id)
    if call is None:
        raise UnknownCall(call_id)
    if not call.state.precedes(to):
        raise StaleState(call_id, call.state)
    changes: dict[str, Any] = {"state": to}
    if to in TIME_OF:
        changes[TIME_OF[to]] = at_ms
    if to is CallState.TALKING:
        changes["last_rtp_at_ms"] = at_ms  # the first packet is what connects a call
    await tx.execute(update(calls).where(calls.c.id == call_id).values(changes))
    await _add_transitions(tx, [(call_id, to, cause, at_ms)])
    return Changed(replace(call, **changes), await events.append(tx, events.drafts(told, at_ms)))


async def end_call(tx: AsyncConnection, call_id: str, told: Iterable[NewEvent], **how: Any) -> Ended:
    call = (await lock(tx, [call_id])).get(call_id)
    if call is None:
        raise UnknownCall(call_id)
    if call.state is CallState.ENDED:
        return Ended(call, await events.of_type(tx, call_id, news.CALL_END), already=True)
    [ended] = await end_all(tx, [Ending(call, **how)])
    last_words = [*told, *news.call_ended(ended)]
    return Ended(ended, await events.append(tx, events.drafts(last_words, how["ended_at_ms"])))


async def end_all(tx: AsyncConnection, endings: Sequence[Ending]) -> list[Call]:
    """End calls whose rows are locked. The totals are the sums of the stored units; nobody is told yet."""
    totals = await _totals(tx, [ending.call.id for ending in endings])
    ended = [
        replace(
            ending.call,
            state=CallState.ENDED,
            ended_at_ms=ending.ended_at_ms,
            end_reason=ending.reason,
            duration_seconds=ending.duration_seconds,
            billed_units=totals.get(ending.call.id, (0, 0))[0],
            billed_points=totals.get(ending.call.id, (0, 0))[1],
        )
        for ending in endings
    ]
    changed = ("state", "ended_at_ms", "end_reason", "duration_seconds", "billed_units", "billed_points")
    await update_many(tx, [{"id": call.id} | {name: getattr(call, name) for name in changed} for call in ended])
    steps = (CallState.ENDING, CallState.ENDED)
    await _add_transitions(
        tx, ((ending.call.id, step, ending.cause, ending.ended_at_ms) for ending in endings for step in steps)
    )
    return ended


async def update_many(tx: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Set the columns that the rows name, each row by its ``id``, in one round trip. The rows must be locked."""
    if rows:
        changed = [name for name in rows[0] if name != "id"]
        statement = update(calls).where(calls.c.id == bindparam("row_id"))
        statement = statement.values({name: bindparam(f"new_{name}") for name in changed})
        await tx.execute(
            statement, [{"row_id": row["id"]} | {f"new_{name}": row[name] for name in changed} for row in rows]
        )


async def lock(tx: AsyncConnection, call_ids: Collection[str]) -> dict[str, Call]:
    """The calls that exist, locked until the commit, in the order of their ids so that two who lock many don't cross."""
    query = select(calls).where(calls.c.id.in_(call_ids)).order_by(calls.c.id).with_for_update()
    return {row["id"]: call_of(row) for row in (await tx.execute(query)).mappings()}


async def call(tx: AsyncConnection, call_id: str) -> Call | None:
    row = (await tx.execute(select(calls).where(calls.c.id == call_id))).mappings().one_or_none()
    return None if row is None else call_of(row)


async def list_calls(
    tx: AsyncConnection, party_id: str | None, states: Collection[CallState], limit: int, cursor: str | None
) -> Page[Call]:
    query = select(calls)
    if party_id is not None:
        query = query.where(or_(calls.c.user_id == party_id, calls.c.otomo_id == party_id))
    if states:
        query = query.where(calls.c.state.in_(states))
    return await page(tx, query, (calls.c.created_at_ms, calls.c.id), call_of, limit=limit, cursor=cursor)


async def open_calls(tx: AsyncConnection, node: str) -> tuple[Call, ...]:
    query = select(calls).where(calls.c.state.in_(LIVE_STATES), calls.c.node == node).order_by(calls.c.id)
    return tuple(call_of(row) for row in (await tx.execute(query.with_for_update())).mappings())


async def timeline(tx: AsyncConnection, call_id: str) -> tuple[Transition, ...]:
    query = select(call_transitions).where(call_transitions.c.call_id == call_id).order_by(call_transitions.c.id)
    return tuple(
        Transition(CallState(row["state"]), row["cause"], row["at_ms"]) for row in (await tx.execute(query)).mappings()
    )


async def billing(tx: AsyncConnection, call_id: str) -> Billing:
    query = select(call_units).where(call_units.c.call_id == call_id).order_by(call_units.c.unit_index)
    units = tuple(unit_of(row) for row in (await tx.execute(query)).mappings())
    return Billing(call_id, units, sum(unit.points for unit in units))


def call_of(row: RowMapping) -> Call:
    return Call(**{**row, "state": CallState(row["state"])})


def unit_of(row: RowMapping) -> Unit:
    return Unit(**{"index" if name == "unit_index" else name: value for name, value in row.items()})


async def _totals(tx: AsyncConnection, call_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """How many units each call has, and their sum."""
    counted = select(call_units.c.call_id, func.count(), func.sum(call_units.c.points)).group_by(call_units.c.call_id)
    rows = await tx.execute(counted.where(call_units.c.call_id.in_(call_ids)))
    return {call_id: (units, int(points)) for call_id, units, points in rows}


async def _add_transitions(tx: AsyncConnection, steps: Iterable[tuple[str, CallState, str, int]]) -> None:
    names = ("call_id", "state", "cause", "at_ms")
    await tx.execute(insert(call_transitions), [dict(zip(names, step, strict=True)) for step in steps])
