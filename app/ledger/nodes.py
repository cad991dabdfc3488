"""The nodes of a cluster as rows: joining, beating, being declared dead. All times are the database's own, so that no
two machines' clocks are ever compared. Knows no connections: whoever calls this owns one.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Connection, case, cast, delete, exists, func, insert, select, text, update

from app.ledger.tables import LIVE, calls, nodes

PROTOCOL = 1  # of what nodes say to one another; two that differ by more than one can't be one cluster
DEATH_BELL = "voiceplane_deaths"  # the others take their share of the calls as soon as they hear it
GAP_MS = 2000  # between two beats, after which a node is not steady any more
NUMBERS = 0x10000

CLOCK = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
STATEMENT_CLOCK = cast(func.extract("epoch", func.statement_timestamp()) * 1000, BigInteger)
"""The same all through a statement, so that an index can be asked for what is due by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as its row has it. ``beat_ms`` is when it was last heard of, ``steady_ms`` since when without a gap."""

    incarnation: str
    number: int
    name: str
    address: str
    session: str
    version: str
    protocol: int
    config_hash: str
    state: str
    beat_ms: int
    steady_ms: int
    stress: float = 0.0
    calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Who wants to join: ``address`` is where its peers reach it, ``session`` the ``application_name`` of its sessions,
    ``config_hash`` what all must be told alike."""

    incarnation: str
    name: str
    address: str
    session: str
    version: str
    config_hash: str


class Misfit(Exception):
    """The node can't be part of this cluster; the text is one sentence for whoever starts it."""


def join(tx: Connection, joining: Joining) -> Node:
    """Add the row, with the lowest number that is free. Raises Misfit where the others were told something else."""
    tx.execute(text("LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE"))
    others = [one for one in everybody(tx) if one.state != "gone"]
    for other in others:
        if abs(other.protocol - PROTOCOL) > 1:
            raise Misfit(f"node {other.name} speaks protocol {other.protocol}, and this release {PROTOCOL}.")
        if other.config_hash != joining.config_hash:
            raise Misfit(f"node {other.name} has other settings: what calls cost and who may sign must be alike.")
    taken = set(tx.scalars(select(nodes.c.number)))
    number = next(number for number in range(1, NUMBERS) if number not in taken)
    now_ms = int(tx.scalar(select(CLOCK)) or 0)
    node = Node(
        incarnation=joining.incarnation,
        number=number,
        name=joining.name,
        address=joining.address,
        session=joining.session,
        version=joining.version,
        protocol=PROTOCOL,
        config_hash=joining.config_hash,
        state="up",
        beat_ms=now_ms,
        steady_ms=now_ms,
    )
    tx.execute(insert(nodes).values({name: getattr(node, name) for name in Node.__slots__}))
    return node


def beat(tx: Connection, incarnation: str, stress: float, live_calls: int) -> Node | None:
    """Say that the node lives. None where it has been declared dead: its calls are others' by now."""
    steady = case((CLOCK - nodes.c.beat_ms > GAP_MS, CLOCK), else_=nodes.c.steady_ms)
    changed = (
        update(nodes)
        .where(nodes.c.incarnation == incarnation, nodes.c.state != "gone")
        .values(beat_ms=CLOCK, steady_ms=steady, stress=stress, calls=live_calls)
        .returning(nodes)
    )
    row = tx.execute(changed).mappings().one_or_none()
    return None if row is None else Node(**row)


def everybody(tx: Connection) -> tuple[Node, ...]:
    """All nodes, those that are gone and have not left all their calls to others yet included."""
    return tuple(Node(**row) for row in tx.execute(select(nodes).order_by(nodes.c.number)).mappings())


def with_live_calls(tx: Connection, found: Collection[Node]) -> tuple[Node, ...]:
    """Nodes, each with as many ``calls`` as are its own now. What it said at its last beat is older than what it has
    adopted since; of one that is gone, these are the calls that nobody has adopted."""
    ids = [one.incarnation for one in found]
    query = select(calls.c.node, func.count()).where(LIVE, calls.c.node.in_(ids)).group_by(calls.c.node)
    have = {row[0]: row[1] for row in tx.execute(query)}
    return tuple(replace(one, calls=have.get(one.incarnation, 0)) for one in found)


def set_state(tx: Connection, incarnation: str, state: str) -> None:
    """``draining`` or ``gone``, by the node itself. What is gone stays so."""
    tx.execute(update(nodes).where(nodes.c.incarnation == incarnation, nodes.c.state != "gone").values(state=state))


def declare_gone(tx: Connection, node: Node) -> bool:
    """Declare a node dead that has not been heard of since; returns whether this did it. Its sessions are ended, since
    one behind a network that is cut may hold a row for long."""
    found = (nodes.c.incarnation == node.incarnation) & (nodes.c.state != "gone") & (nodes.c.beat_ms == node.beat_ms)
    if not tx.execute(update(nodes).where(found).values(state="gone")).rowcount:
        return False
    tx.execute(END_SESSIONS, {"name": node.session})
    tx.execute(select(func.pg_notify(DEATH_BELL, "")))
    return True


def heard_of(tx: Connection, within_ms: int) -> frozenset[str]:
    """The nodes that are gone, and beat so short a time ago."""
    if tx.dialect.name != "postgresql":
        return frozenset()
    return frozenset(tx.scalars(select(nodes.c.incarnation).where(nodes.c.beat_ms >= CLOCK - within_ms)))


def forget_all(tx: Connection) -> None:
    """Nobody else lives on this database: the rows are those of nodes that went without a word."""
    tx.execute(delete(nodes))


def forget_gone(tx: Connection) -> None:
    """Delete the rows of nodes that are gone and have no live call any more."""
    theirs = exists().where(LIVE, calls.c.node == nodes.c.incarnation)
    tx.execute(delete(nodes).where(nodes.c.state == "gone", ~theirs))


def new_incarnation(name: str) -> str:
    """A name for a process that no other one ever has."""
    return f"{name}-{secrets.token_hex(4)}"


END_SESSIONS = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name")
