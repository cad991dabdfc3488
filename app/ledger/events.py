"""Events, stored before they are published: appended in the transaction that they are about, replayed by number.

Whoever sees event *n* must have been able to see every smaller one, or a client that reconnects with ``since=n`` would
miss those that came late. So numbers come from a row and not from a sequence: a transaction that draws some holds the
row until its commit. :func:`append` is therefore the last thing that a transaction does, so that no holder of the row
waits for another lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    Integer,
    RowMapping,
    Select,
    bindparam,
    func,
    select,
    text,
    union_all,
    update,
)

from app.ledger.bulk import BulkInsert, Row
from app.ledger.notices import Beside
from app.ledger.outbox import Outgoing
from app.ledger.tables import LIVE, TO_ALL, calls, event_counter, events
from app.ledger.values import Call, Event, NewEvent
from app.person import Person
from schemas.call import CallState

DRAW = (
    update(event_counter)
    .values(last_seq=event_counter.c.last_seq + bindparam("how_many", type_=BigInteger))
    .returning(event_counter.c.last_seq, event_counter.c.webhooks_version)
)
BELL = "voiceplane_events"  # what other nodes listen for (NOTIFY); rung at the commit, once for all of its events
DRAW_POSTGRESQL = DRAW.returning(func.pg_notify(BELL, ""))
PATIENTLY = text("SET LOCAL lock_timeout TO DEFAULT")  # others hold this row for no longer than their commits take
ADD = BulkInsert(events)

EVENTS = select(*(column for column in events.c if column.name != "unit_index")).order_by(events.c.seq)
LATER = EVENTS.where(events.c.seq > bindparam("after")).limit(bindparam("at_most", type_=Integer))
OWN = LATER.where(events.c.role == bindparam("role"), events.c.user_id == bindparam("user_id"))
OWN_AND_TO_ALL = union_all(*(select(one.subquery()) for one in (OWN, LATER.where(TO_ALL))))

REPLAY_LIMIT = 1000  # events in one answer
NO_CALLS: Mapping[str, Call] = MappingProxyType({})


class Draft(NamedTuple):
    """An event that has no number yet; ``unit_index`` where it is about a charged unit."""

    event: NewEvent
    at_ms: int
    unit_index: int | None = None


def drafts(new: Iterable[NewEvent], at_ms: int) -> list[Draft]:
    return [Draft(event, at_ms) for event in new]


def append(
    tx: Connection, new: Sequence[Draft], beside: Sequence[Beside] = (), known: Mapping[str, Call] = NO_CALLS
) -> tuple[Event, ...]:
    """Store events, in their order, and what back ends are told of them and of what was done ``beside``. Must be the
    last thing in the transaction (see above). ``known`` are calls as it leaves them, which need not be read again."""
    if not new and not beside:
        return ()
    outgoing = Outgoing(tx, [(draft.event, draft.at_ms) for draft in new], beside, known)
    last_seq, webhooks_version = _draw(tx, len(new))
    first_seq = last_seq - len(new) + 1
    # An Event has a NewEvent's fields, between its number and its time.
    stored = tuple(Event(seq, *event, at_ms) for seq, (event, at_ms, _) in enumerate(new, first_seq))
    ADD(tx, [_row(event, draft.unit_index) for event, draft in zip(stored, new, strict=True)])
    outgoing.store(tx, webhooks_version)
    return stored


def append_each(tx: Connection, new: Sequence[Sequence[Draft]], known: Mapping[str, Call]) -> list[tuple[Event, ...]]:
    """Like :func:`append`, for several changes; returns the events of each."""
    stored = iter(append(tx, [draft for drafts_ in new for draft in drafts_], known=known))
    return [tuple(islice(stored, len(drafts_))) for drafts_ in new]


def _draw(tx: Connection, how_many: int) -> tuple[int, int]:
    """Draw so many new numbers. Returns the last one, and the version of the set of webhook endpoints."""
    draw = DRAW
    if tx.dialect.name == "postgresql":
        draw = DRAW_POSTGRESQL
        tx.execute(PATIENTLY)
    row = tx.execute(draw, {"how_many": how_many}).one()
    return int(row.last_seq), int(row.webhooks_version)


def _row(event: Event, unit_index: int | None) -> Row:
    role, user_id = event.to or (None, None)
    return {
        "seq": event.seq,
        "role": role,
        "user_id": user_id,
        "call_id": event.call_id,
        "unit_index": unit_index,
        "type": event.type,
        "payload": event.payload,
        "at_ms": event.at_ms,
    }


def since(tx: Connection, person: Person, seq: int, *, limit: int) -> tuple[Event, ...]:
    """Each kind is read by its own index, and both are put in order here: the database would sort everything."""
    query = OWN_AND_TO_ALL if person.role == "user" else OWN
    found = _fetch(tx, query, after=seq, at_most=limit, role=person.role, user_id=person.id)
    return tuple(sorted(found, key=attrgetter("seq"))[:limit])


def tail(tx: Connection, seq: int, *, limit: int) -> tuple[Event, ...]:
    return _fetch(tx, LATER, after=seq, at_most=limit)


def of_unit(tx: Connection, call_id: str, index: int) -> tuple[Event, ...]:
    """The events about a unit, as far as they are not pruned."""
    return _fetch(tx, EVENTS.where(events.c.call_id == call_id, events.c.unit_index == index))


def of_type(tx: Connection, call_id: str, event_type: str) -> tuple[Event, ...]:
    return _fetch(tx, EVENTS.where(events.c.call_id == call_id, events.c.type == event_type))


def ringing_since(tx: Connection, otomo_id: str) -> int | None:
    ringing = (calls.c.otomo_id == otomo_id, calls.c.state == CallState.RINGING)
    told = select(func.min(events.c.seq)).join_from(calls, events, events.c.call_id == calls.c.id)
    seq: int | None = tx.scalar(told.where(LIVE, *ringing, events.c.type == "incoming_call"))
    return seq


def latest_seq(tx: Connection) -> int:
    return int(tx.execute(select(event_counter.c.last_seq)).scalar_one())


def _fetch(tx: Connection, query: Select[Any] | CompoundSelect[Any], **values: object) -> tuple[Event, ...]:
    return tuple(map(_event, tx.execute(query, values).mappings()))


def _event(row: RowMapping) -> Event:
    to = None if row["user_id"] is None else Person(row["role"], row["user_id"])
    return Event(row["seq"], row["type"], row["payload"], to, row["call_id"], row["at_ms"])
