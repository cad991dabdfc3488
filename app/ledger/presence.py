"""Who is connected, over all nodes of a cluster, and what users were told of each otomo. A lone node has it in memory.

What is told is decided in the transaction that stores the telling, by the rows of that moment: so whichever node looks,
and however many at once, no status is told twice, and the last one told is the one that is so. The clock is the
database's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, select, text, update

from app.ledger import events
from app.ledger.nodes import CLOCK
from app.ledger.tables import LIVE, calls, insert_or_replace, nodes, otomo_status, people, sockets
from app.ledger.values import Event, NewEvent
from app.person import Person
from schemas.people import OtomoStatusWord
from schemas.signaling import OtomoStatus
from schemas.types import iso

LOCK = text("SELECT pg_advisory_xact_lock(hashtext(:otomo_id))")  # of two nodes that look at once one waits


class Told(NamedTuple):
    """What was stored to be told, if anything; or after how many milliseconds it may be."""

    events: tuple[Event, ...] = ()
    wait_ms: int = 0


def set_connected(tx: Connection, node: str, person: Person, connected: bool) -> None:
    """Store that somebody has sockets on a node, or none any more."""
    row = {"role": person.role, "user_id": person.id, "node": node, "left_at_ms": None}
    mine = (sockets.c.role == person.role, sockets.c.user_id == person.id, sockets.c.node == node)
    if connected:
        tx.execute(insert_or_replace(tx, sockets), [row])
    elif person.role == "otomo":
        tx.execute(update(sockets).where(*mine).values(left_at_ms=CLOCK))
    else:
        tx.execute(delete(sockets).where(*mine))


def is_connected(tx: Connection, person: Person) -> bool:
    """Whether the person has a socket on any node."""
    has = (sockets.c.role == person.role, sockets.c.user_id == person.id, sockets.c.left_at_ms.is_(None))
    return bool(tx.scalar(select(exists().where(*has))))


def tell_status(tx: Connection, otomo_id: str, offline_after_ms: int, every_ms: int) -> Told:
    """Store what all users are to be told of an otomo: nothing where they know it. ``offline`` is told only a while
    after the last socket has closed, and nothing so soon after what was told before."""
    tx.execute(LOCK, {"otomo_id": otomo_id})
    now_ms = int(tx.scalar(select(CLOCK)) or 0)
    row = tx.execute(select(otomo_status).where(otomo_status.c.otomo_id == otomo_id)).mappings().one_or_none()
    status, told = _status(tx, otomo_id, now_ms - offline_after_ms), row["status"] if row else "offline"
    if status == told:
        return Told()
    if row and now_ms - row["told_at_ms"] < every_ms:
        return Told(wait_ms=every_ms - (now_ms - row["told_at_ms"]))
    tx.execute(insert_or_replace(tx, otomo_status), [{"otomo_id": otomo_id, "status": status, "told_at_ms": now_ms}])
    payload = OtomoStatus(otomo_id=otomo_id, status=status, timestamp=iso(now_ms))
    return Told(events.append(tx, events.drafts([NewEvent.of(payload)], now_ms)))


def _status(tx: Connection, otomo_id: str, left_after_ms: int) -> OtomoStatusWord:
    """Whoever has left only after that time counts as there."""
    mine = (sockets.c.role == "otomo", sockets.c.user_id == otomo_id)
    tx.execute(delete(sockets).where(*mine, sockets.c.left_at_ms <= left_after_ms))
    if not tx.scalar(select(exists().where(*mine))):
        return "offline"
    if tx.scalar(select(exists().where(LIVE, calls.c.otomo_id == otomo_id))):
        return "busy"
    away = (people.c.role == "otomo", people.c.user_id == otomo_id, people.c.away)
    return "away" if tx.scalar(select(exists().where(*away))) else "online"


def leave_gone(tx: Connection) -> Collection[str]:
    """The sockets of nodes that are no more have left; returns the otomos who had one there."""
    living = select(nodes.c.incarnation).where(nodes.c.state != "gone")
    orphan = (sockets.c.node.not_in(living), sockets.c.left_at_ms.is_(None))
    tx.execute(delete(sockets).where(*orphan, sockets.c.role != "otomo"))
    left = update(sockets).where(*orphan).values(left_at_ms=CLOCK).returning(sockets.c.user_id)
    return set(tx.scalars(left))
