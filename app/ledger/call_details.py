"""All that is stored of some calls, read with one query for each table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, RowMapping, Select, bindparam, select

from app.ledger import calls
from app.ledger.call_bodies import Details
from app.ledger.tables import call_interruptions, call_transitions, call_units
from app.ledger.values import Call, Interrupted, Transition
from schemas.call import CallState

T = TypeVar("T")
INTERRUPTED = tuple(one.name for one in fields(Interrupted))


def of_calls(order: Column[Any]) -> Select[Any]:
    """The rows of a table that belong to calls, in the order of a column of it. Made once for each table: it is also
    sent when a call ends."""
    table = order.table
    return select(table).where(table.c.call_id.in_(bindparam("call_ids", expanding=True))).order_by(order)


STEPS = of_calls(call_transitions.c.id)
UNITS = of_calls(call_units.c.unit_index)
INTERRUPTIONS = of_calls(call_interruptions.c.id)


def details(tx: Connection, call: Call) -> Details:
    return details_of(tx, [call])[call.id]


def details_of(tx: Connection, found: Sequence[Call]) -> dict[str, Details]:
    """By call id. The calls are given as they are stored."""
    every = [call.id for call in found]
    connected = [call.id for call in found if call.connected_at_ms is not None]  # others have no units, and no gaps
    steps = _by_call(tx, STEPS, every, _step)
    units = _by_call(tx, UNITS, connected, calls.unit_of)
    gaps = _by_call(tx, INTERRUPTIONS, connected, _interruption)
    records = calls.records(tx, every)
    return {
        one.id: Details(one, tuple(steps[one.id]), tuple(units[one.id]), tuple(gaps[one.id]), records.get(one.id))
        for one in found
    }


def _by_call(
    tx: Connection, query: Select[Any], ids: Sequence[str], read: Callable[[RowMapping], T]
) -> Mapping[str, list[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    if ids:
        for row in tx.execute(query, {"call_ids": ids}).mappings():
            found[row["call_id"]].append(read(row))
    return found


def _step(row: RowMapping) -> Transition:
    return Transition(CallState(row["state"]), row["cause"], row["at_ms"])


def _interruption(row: RowMapping) -> Interrupted:
    return Interrupted(*(row[name] for name in INTERRUPTED))
