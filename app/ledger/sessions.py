"""What a cluster needs of PostgreSQL's sessions, found out by trying: that a client keeps its own, since locks and the
bell are a session's; and that the role may end one, as the session of a dead node. Looks only, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, inspect, select
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


@dataclass(frozen=True, slots=True)
class Sessions:
    """``own``: whether a client has a session of its own. ``ends``: whether one of them could end another.
    ``clock_ms`` is the database's clock, when this machine's stood at ``our_clock_ms``. ``nodes`` are those that have
    not gone."""

    own: bool
    ends: bool
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
                nodes = await one.run_sync(lambda tx: everybody(tx) if inspect(tx).has_table("nodes") else ())
                ends = own and await can_end(one, other)
            return Sessions(own, ends, clock_ms, our_clock_ms, tuple(node for node in nodes if node.state != "gone"))
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
