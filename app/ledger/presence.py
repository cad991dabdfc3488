"""Who is connected, over all nodes of a cluster, and what users were told of each otomo. A lone node has it in memory.

What is told is decided in the transaction that stores the telling, by the rows of that moment: so whichever node looks,
and however many at once, no status is told twice, and the last one told is the one that is so. The clock is the
database's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, exists, select, text, update

from app.ledger import events
from app.ledger.nodes import CLOCK
from app.ledger.tables import LIVE, calls, insert_or_replace, nodes, otomo_status, people, sockets
from app.ledger.values import Event, NewEvent
from app.person import Person
from schemas.people import OtomoStatusWord
from schemas.signaling import OtomoStatus
from schemas.types import iso

# Of two nodes that look at once one waits; both lock in the order of the ids.
LOCK = text("SELECT pg_advisory_xact_lock(hashtext(id)) FROM unnest(cast(:otomo_ids AS text[])) AS id")
THEIRS = and_(sockets.c.role == bindparam("of_role"), sockets.c.user_id == bindparam("of_id"))
IS_CONNECTED = select(exists().where(THEIRS, sockets.c.left_at_ms.is_(None)))
MINE = and_(THEIRS, sockets.c.node == bindparam("on"))
LEAVE = update(sockets).where(MINE).values(left_at_ms=CLOCK)
FORGET = delete(sockets).where(MINE)
FORGET_LEFT = delete(sockets).where(
    sockets.c.role == "otomo",
    sockets.c.user_id == bindparam("otomo_id"),
    sockets.c.left_at_ms <= bindparam("left_after"),
)


class Look(NamedTuple):
    """What an otomo's status is looked at for: ``offline`` is told after so many milliseconds without a socket, and
    anything so many after what was told before."""

    otomo_id: str
    offline_after_ms: int
    every_ms: int


class Told(NamedTuple):
    """What was stored to be told, if anything; or after how many milliseconds it may be."""

    events: tuple[Event, ...] = ()
    wait_ms: int = 0


def set_connected(tx: Connection, changes: Sequence[tuple[str, Person, bool]]) -> list[None]:
    """Store for each (node, person, whether connected) that they have sockets on the node, or none any more."""
    came: list[dict[str, str]] = []
    left: list[dict[str, str]] = []
    gone: list[dict[str, str]] = []  # who was no otomo is forgotten at once
    for node, person, connected in changes:
        which = came if connected else left if person.role == "otomo" else gone
        which.append({"role": person.role, "user_id": person.id, "node": node})
    if came:
        tx.execute(insert_or_replace(tx, sockets), [{**row, "left_at_ms": None} for row in came])
    if left:
        tx.execute(LEAVE, [named(row) for row in left])
    if gone:
        tx.execute(FORGET, [named(row) for row in gone])
    return [None] * len(changes)


def is_connected(tx: Connection, person: Person) -> bool:
    """Whether the person has a socket on any node."""
    return bool(tx.scalar(IS_CONNECTED, {"of_role": person.role, "of_id": person.id}))


def tell_status(tx: Connection, looks: Sequence[Look]) -> list[Told]:
    """Store what all users are to be told of some otomos: nothing where they know it. ``offline`` is told only a while
    after the last socket has closed, and nothing so soon after what was told before."""
    ids = sorted({look.otomo_id for look in looks})
    tx.execute(LOCK, {"otomo_ids": ids})
    now_ms = int(tx.scalar(select(CLOCK)) or 0)
    before = {row.otomo_id: row for row in tx.execute(select(otomo_status).where(otomo_status.c.otomo_id.in_(ids)))}
    left = [{"otomo_id": look.otomo_id, "left_after": now_ms - look.offline_after_ms} for look in looks]
    tx.execute(FORGET_LEFT, left)
    status_of = _statuses(tx, ids)
    waits: dict[str, int] = {}
    new: dict[str, OtomoStatusWord] = {}
    for look in looks:
        status, known = status_of[look.otomo_id], before.get(look.otomo_id)
        if status == (known.status if known else "offline"):
            continue
        if known and now_ms - known.told_at_ms < look.every_ms:
            waits[look.otomo_id] = look.every_ms - (now_ms - known.told_at_ms)
        else:
            new[look.otomo_id] = status
    if new:
        rows = [{"otomo_id": one, "status": status, "told_at_ms": now_ms} for one, status in new.items()]
        tx.execute(insert_or_replace(tx, otomo_status), rows)
    payloads = (OtomoStatus(otomo_id=one, status=status, timestamp=iso(now_ms)) for one, status in new.items())
    stored = events.append(tx, events.drafts(map(NewEvent.of, payloads), now_ms))
    told = {otomo_id: Told((event,)) for otomo_id, event in zip(new, stored, strict=True)}
    # who looks twice at once gets the event once
    return [told.pop(one, Told(wait_ms=waits.get(one, 0))) for one in (look.otomo_id for look in looks)]


def _statuses(tx: Connection, otomo_ids: Sequence[str]) -> dict[str, OtomoStatusWord]:
    """Whoever has a row in ``sockets`` counts as there."""
    there = set(tx.scalars(select(sockets.c.user_id).where(*_otomos(sockets, otomo_ids))))
    busy = set(tx.scalars(select(calls.c.otomo_id).where(LIVE, calls.c.otomo_id.in_(otomo_ids))))
    away = set(tx.scalars(select(people.c.user_id).where(*_otomos(people, otomo_ids), people.c.away)))

    def status(otomo_id: str) -> OtomoStatusWord:
        if otomo_id not in there:
            return "offline"
        return "busy" if otomo_id in busy else "away" if otomo_id in away else "online"

    return {otomo_id: status(otomo_id) for otomo_id in otomo_ids}


def _otomos(table: Table, otomo_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return table.c.role == "otomo", table.c.user_id.in_(otomo_ids)


def named(row: Mapping[str, str]) -> dict[str, str]:
    """By the names of ``MINE``."""
    return {"of_role": row["role"], "of_id": row["user_id"], "on": row["node"]}


def leave_gone(tx: Connection) -> Collection[str]:
    """The sockets of nodes that are no more have left; returns the otomos who had one there."""
    living = select(nodes.c.incarnation).where(nodes.c.state != "gone")
    orphan = (sockets.c.node.not_in(living), sockets.c.left_at_ms.is_(None))
    tx.execute(delete(sockets).where(*orphan, sockets.c.role != "otomo"))
    left = update(sockets).where(*orphan).values(left_at_ms=CLOCK).returning(sockets.c.user_id)
    return set(tx.scalars(left))
