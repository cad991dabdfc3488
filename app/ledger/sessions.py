"""What a cluster needs of PostgreSQL's sessions, found out by trying: that a client keeps its own, since locks and the
bell are a session's; and that the role may end one, as the session of a dead node, also where that has another role.
Looks only, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, bindparam, func, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.ledger.backend import named
from app.ledger.claim import TROUBLE
from app.ledger.database import database_url, unavailable
from app.ledger.errors import LedgerUnavailable
from app.ledger.nodes import CLOCK, Node, everybody
from app.ledger.postgresql import PostgresDatabase

WITHIN_S = 5.0
NAME = "voiceplane-doctor"
FOREIGN = text(
    """SELECT DISTINCT theirs.rolname FROM pg_stat_activity
       JOIN pg_roles theirs ON theirs.oid = usesysid JOIN pg_roles mine ON mine.rolname = current_user
       WHERE application_name = ANY(:names) AND NOT mine.rolsuper AND (theirs.rolsuper OR NOT (
         pg_has_role(theirs.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
       ORDER BY theirs.rolname"""
).bindparams(bindparam("names", type_=ARRAY(Text)))
"""Roles of sessions, by their names, that ours may not end: pg_terminate_backend wants the privileges of their role or
of pg_signal_backend, and a superuser for a superuser's (PostgreSQL 15, 9.27.2)."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """``own``: whether a client has a session of its own. ``ends``: whether one of them could end another. ``foreign``
    are the roles of nodes whose sessions ours may not end. ``clock_ms`` is the database's clock, when this machine's
    stood at ``our_clock_ms``. ``nodes`` are those that have not gone."""

    own: bool
    ends: bool
    foreign: tuple[str, ...]
    clock_ms: int
    our_clock_ms: int
    nodes: tuple[Node, ...]


async def try_sessions(url: str) -> Sessions:
    """Raises BadDatabaseUrl, LedgerUnavailable."""
    try:
        async with PostgresDatabase.open(database_url(url), WITHIN_S, NAME) as database:
            async with sessions(database, 2) as (one, other):
                own = await have_their_own(one, other)
                before = time.time()
                clock_ms = int(await one.scalar(select(CLOCK)) or 0)
                our_clock_ms = round(500 * (before + time.time()))
                found = await one.run_sync(lambda tx: everybody(tx) if inspect(tx).has_table("nodes") else ())
                nodes = tuple(node for node in found if node.state != "gone")
                foreign = tuple(await one.scalars(FOREIGN, {"names": [node.session for node in nodes]}))
                ends = own and await can_end(one, other)
            return Sessions(own, ends, foreign, clock_ms, our_clock_ms, nodes)
    except TROUBLE as error:
        raise LedgerUnavailable(f"{named(url)} can't be used: {unavailable(error)}") from error


@asynccontextmanager
async def sessions(database: PostgresDatabase, how_many: int) -> AsyncIterator[tuple[AsyncConnection, ...]]:
    connections = [await database.engine.connect() for _ in range(how_many)]
    try:
        yield tuple([await one.execution_options(isolation_level="AUTOCOMMIT") for one in connections])
    finally:
        for one in connections:
            await one.invalidate()
            await one.close()


async def have_their_own(one: AsyncConnection, other: AsyncConnection) -> bool:
    """What pools transactions gives the session that ``one`` has just used to whoever begins a transaction next."""
    try:
        mine = await one.scalar(select(func.pg_backend_pid()))
        await other.exec_driver_sql("BEGIN")
        theirs = await other.scalar(select(func.pg_backend_pid()))
        again = await one.scalar(select(func.pg_backend_pid()))
        await other.exec_driver_sql("ROLLBACK")
    except DBAPIError:  # it was connected: a pooler has lost a prepared statement, or knows no transactions
        return False
    return mine == again != theirs


async def can_end(one: AsyncConnection, other: AsyncConnection) -> bool:
    pid = await other.scalar(select(func.pg_backend_pid()))
    return bool(await one.scalar(select(func.pg_terminate_backend(pid))))
