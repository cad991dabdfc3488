"""One node per database: a start ends the calls that it finds open, and must not end those of a node that lives."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.ledger.backend import named, sqlite_file
from app.ledger.database import database_url, unavailable
from app.ledger.errors import DatabaseClaimed, LedgerUnavailable
from app.ledger.postgresql import NOT_CONNECTED, PostgresDatabase

PATIENCE_S = 10.0  # the other one may be about to end, or gone with its machine, which PostgreSQL sees after a while
LOOK_EVERY_S = 0.2
ANSWER_WITHIN_S = 5.0
CLAIM = 0x566F696365506C02  # PostgreSQL advisory lock: who holds it is the database's node

Attempt = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


@asynccontextmanager
async def claimed(url: str, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """The database is this node's until the block is left or the process ends, however it ends.

    On PostgreSQL only as long as the connection lives: it guards against a mistaken start, not against a split network.
    Raises DatabaseClaimed where another node has it and keeps it; BadDatabaseUrl, LedgerUnavailable.
    """
    file = sqlite_file(url)
    async with AsyncExitStack() as stack:
        try:
            attempt = await stack.enter_async_context(by_file(file) if file else by_session(url))
            await taken(attempt, url, patience_s)
        except (OSError, SQLAlchemyError, *NOT_CONNECTED) as error:
            raise LedgerUnavailable(f"{named(url)} can't be used: {unavailable(error)}") from error
        yield


async def taken(attempt: Attempt, url: str, patience_s: float) -> None:
    """Returns once an attempt has succeeded. Raises DatabaseClaimed where none does in time."""
    if await attempt():
        return
    log.warning("another node has %s: waiting for its end, %.0f s at most", named(url), patience_s)
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY_S)
        if await attempt():
            return
    raise DatabaseClaimed(f"another node has {named(url)}, and two would end each other's calls")


@asynccontextmanager
async def by_file(database: Path) -> AsyncIterator[Attempt]:
    """By a lock (flock(2)) on a file beside the database: on the database's own, closing ours would drop SQLite's."""
    database.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(database.with_name(f"{database.name}-node"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def attempt() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield attempt
    finally:
        os.close(lock)


@asynccontextmanager
async def by_session(url: str) -> AsyncIterator[Attempt]:
    """By an advisory lock of a session of its own."""
    async with PostgresDatabase.open(database_url(url), ANSWER_WITHIN_S) as database, database.engine.connect() as tx:
        session = await tx.execution_options(isolation_level="AUTOCOMMIT")

        async def attempt() -> bool:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return bool(await session.scalar(select(func.pg_try_advisory_lock(CLAIM))))

        yield attempt
