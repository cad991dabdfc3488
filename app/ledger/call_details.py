"""All that is stored of some calls, read with one query for each table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, RowMapping, select

from app.ledger import calls
from app.ledger.call_bodies import Details
from app.ledger.tables import call_interruptions, call_transitions, call_units
from app.ledger.values import Call, Interrupted, Transition
from schemas.call import CallState

T = TypeVar("T")
INTERRUPTED = tuple(one.name for one in fields(Interrupted))


def details(tx: Connection, call: Call) -> Details:
    return details_of(tx, [call])[call.id]


def details_of(tx: Connection, found: Sequence[Call]) -> dict[str, Details]:
    """By call id. The calls are given as they are stored."""
    every = [call.id for call in found]
    connected = [call.id for call in found if call.connected_at_ms is not None]  # others have no units, and no gaps
    steps = _by_call(tx, call_transitions.c.id, every, _step)
    units = _by_call(tx, call_units.c.unit_index, connected, calls.unit_of)
    gaps = _by_call(tx, call_interruptions.c.id, connected, _interruption)
    records = calls.records(tx, every)
    return {
        one.id: Details(one, tuple(steps[one.id]), tuple(units[one.id]), tuple(gaps[one.id]), records.get(one.id))
        for one in found
    }


def _by_call(
    tx: Connection, order: Column[Any], ids: Sequence[str], read: Callable[[RowMapping], T]
) -> Mapping[str, list[T]]:
    """The rows of a table that belong to the calls, in the order of a column of it."""
    found: defaultdict[str, list[T]] = defaultdict(list)
    if ids:
        table = order.table
        for row in tx.execute(select(table).where(table.c.call_id.in_(ids)).order_by(order)).mappings():
            found[row["call_id"]].append(read(row))
    return found


def _step(row: RowMapping) -> Transition:
    return Transition(CallState(row["state"]), row["cause"], row["at_ms"])


def _interruption(row: RowMapping) -> Interrupted:
    return Interrupted(*(row[name] for name in INTERRUPTED))
