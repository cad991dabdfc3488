"""Calls as rows: locked, updated and read. Knows nothing of media, timers or sockets.

A call's row is locked before anything about the call is decided (on SQLite, the whole database is): of two that want to
move a call, the second one finds it moved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, TextClause, bindparam, select

from app.ledger.bulk import BulkLock, BulkUpdate, Row
from app.ledger.paging import page
from app.ledger.tables import (
    LIVE,
    call_interruptions,
    call_metadata,
    call_records,
    call_segments,
    call_transitions,
    call_units,
    calls,
    nodes,
    point_transactions,
    refunds,
)
from app.ledger.values import (
    LIVE_STATES,
    Billing,
    Call,
    CallSearch,
    Interrupted,
    Page,
    Record,
    RefundLine,
    Segment,
    Transition,
    Unit,
)
from schemas.base import encode
from schemas.call import CallState, EndedBy
from schemas.quality import FlagLine, ProtocolLine, QualityLine
from schemas.tariff import Tariff

COLUMNS = tuple(one.name for one in fields(Call))
TARIFFS = 1024  # different ones that are remembered
LOCK = BulkLock(calls, COLUMNS)
OWNER = select(calls.c.node).where(calls.c.id == bindparam("call_id"), LIVE)
RECORD = tuple(one.name for one in fields(Record))
LINES: Mapping[str, type[Any]] = {"quality": QualityLine, "flags": FlagLine, "transports": ProtocolLine}
"""The lists of a record, which are stored as JSON."""
RECORDS = (
    select(call_records, calls.c.user_id)
    .join_from(call_records, calls)
    .where(call_records.c.call_id.in_(bindparam("call_ids", expanding=True)))
)

T = TypeVar("T")


def update_many(tx: Connection, rows: Sequence[Row]) -> None:
    """Set the columns that the rows name; the first is the row's ``id``. The rows must be locked."""
    if rows:
        _update(tuple(rows[0]))(tx, rows)


@cache
def _update(names: tuple[str, ...]) -> BulkUpdate:
    return BulkUpdate(calls, names)


def lock(tx: Connection, call_ids: Collection[str]) -> dict[str, Call]:
    """Those of the calls that exist, locked until the commit."""
    return {row["id"]: call_of(row) for row in LOCK(tx, call_ids)}


def call(tx: Connection, call_id: str) -> Call | None:
    row = tx.execute(select(calls).where(calls.c.id == call_id)).mappings().one_or_none()
    return None if row is None else call_of(row)


def owner_of(tx: Connection, call_id: str) -> str | None:
    return tx.scalar(OWNER, {"call_id": call_id})


def search(tx: Connection, asked: CallSearch, limit: int, cursor: str | None) -> Page[Call]:
    """The calls that are asked for, newest first."""
    place, query = (calls.c.created_at_ms, calls.c.id), select(calls)
    order = place
    for name, value in sorted(asked.metadata.items()):
        said = call_metadata.alias()
        query = query.join(said, said.c.call_id == calls.c.id).where(said.c.key == name, said.c.value == value)
        order = (said.c.created_at_ms, said.c.call_id)  # the same as the call's, and in an index with the text
    query = query.where(*conditions(asked, order[0]))
    return page(tx, query, place, call_of, limit=limit, cursor=cursor, order=order)


def conditions(asked: CallSearch, created_at_ms: ColumnElement[int]) -> Iterator[ColumnElement[bool] | TextClause]:
    for column, value in ((calls.c.user_id, asked.user_id), (calls.c.otomo_id, asked.otomo_id)):
        if value is not None:
            yield column == value
    if set(asked.states) == set(LIVE_STATES):
        yield LIVE  # exactly so: the index of live calls has this condition, and the list's order
    elif asked.states:
        yield calls.c.state.in_(asked.states)
    if asked.end_reason is not None:
        yield calls.c.end_reason == asked.end_reason
    if asked.from_ms is not None:
        yield created_at_ms >= asked.from_ms
    if asked.to_ms is not None:
        yield created_at_ms < asked.to_ms


def open_calls(tx: Connection, node: str) -> tuple[Call, ...]:
    """The calls of a node that have not ended."""
    query = select(calls).where(LIVE, calls.c.node == node).order_by(calls.c.id)
    return tuple(map(call_of, tx.execute(query).mappings()))


def lock_orphans(tx: Connection, node: str, limit: int) -> tuple[Call, ...]:
    """Some calls that have not ended and are no live node's, locked until the commit; those that another node takes at
    this moment are left out."""
    living = select(nodes.c.incarnation).where(nodes.c.state != "gone")
    orphan = (LIVE, calls.c.node != node, calls.c.node.not_in(living))
    query = select(calls).where(*orphan).order_by(calls.c.id).limit(limit).with_for_update(skip_locked=True)
    return tuple(map(call_of, tx.execute(query).mappings()))


def timeline(tx: Connection, call_id: str) -> tuple[Transition, ...]:
    query = select(call_transitions).where(call_transitions.c.call_id == call_id).order_by(call_transitions.c.id)
    return tuple(
        Transition(CallState(row["state"]), row["cause"], row["at_ms"]) for row in tx.execute(query).mappings()
    )


def segments(tx: Connection, call_id: str) -> tuple[Segment, ...]:
    """The rooms that the call has had, in order."""
    query = select(*(call_segments.c[one.name] for one in fields(Segment)))
    rows = tx.execute(query.where(call_segments.c.call_id == call_id).order_by(call_segments.c.epoch))
    return tuple(Segment(*row) for row in rows)


def interruptions(tx: Connection, call_id: str) -> tuple[Interrupted, ...]:
    query = select(*(call_interruptions.c[one.name] for one in fields(Interrupted)))
    rows = tx.execute(query.where(call_interruptions.c.call_id == call_id).order_by(call_interruptions.c.id))
    return tuple(Interrupted(*row) for row in rows)


def billing(tx: Connection, call_id: str) -> Billing:
    query = select(call_units).where(call_units.c.call_id == call_id).order_by(call_units.c.unit_index)
    units = tuple(unit_of(row) for row in tx.execute(query).mappings())
    return Billing(call_id, units, sum(unit.points for unit in units), refunds_of(tx, call_id))


def refunds_of(tx: Connection, call_id: str) -> tuple[RefundLine, ...]:
    line = point_transactions.c
    query = select(refunds.c.points, refunds.c.units, line.reason, line.at_ms).join_from(refunds, point_transactions)
    rows = tx.execute(query.where(refunds.c.call_id == call_id).order_by(refunds.c.transaction_id))
    return tuple(RefundLine(*row) for row in rows)


def record(tx: Connection, call_id: str) -> Record | None:
    return records(tx, [call_id]).get(call_id)


def records(tx: Connection, call_ids: Collection[str]) -> dict[str, Record]:
    """Those that there are, by call."""
    rows = tx.execute(RECORDS, {"call_ids": list(call_ids)}).mappings()
    return {row["call_id"]: record_of(row) for row in rows}


def record_of(row: RowMapping) -> Record:
    values = {name: row[name] for name in RECORD} | {"ended_by": EndedBy(row["ended_by"])}
    return Record(**values | {name: lines_of(row[name], kind, row["user_id"]) for name, kind in LINES.items()})


def row_of(record: Record) -> Row:
    values = {name: getattr(record, name) for name in RECORD}
    return values | {name: encode(values[name]) for name in LINES}


def lines_of(text: bytes, kind: type[T], user_id: str) -> tuple[T, ...]:
    """Lines of a record as they were given."""
    return tuple(msgspec.convert(with_role(line, user_id), kind) for line in msgspec.json.decode(text))


def with_role(line: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Old records' lines have no role; the ids of the two parties always differed then."""
    who, role = (line["from"], "fromRole") if "from" in line else (line["userId"], "role")
    return {role: "user" if who == user_id else "otomo", **line}


def texts_of(call: Call) -> Iterator[Row]:
    """A call's metadata, as it is searched."""
    for name, text in call.metadata.items():
        yield {"key": name, "value": text, "created_at_ms": call.created_at_ms, "call_id": call.id}


def call_of(row: RowMapping | Row) -> Call:
    return Call(**{**row, "state": CallState(row["state"]), "tariff": tariff_of(row["tariff"])})


@lru_cache(TARIFFS)
def tariff_of(text: bytes | None) -> Tariff | None:
    return None if text is None else msgspec.json.decode(text, type=Tariff)


@lru_cache(TARIFFS)
def tariff_text(tariff: Tariff | None) -> bytes | None:
    return None if tariff is None else encode(tariff)


def unit_of(row: RowMapping) -> Unit:
    return Unit(**{"index" if name == "unit_index" else name: value for name, value in row.items()})
