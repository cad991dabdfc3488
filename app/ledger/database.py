"""The way to the database: engines, one transaction per piece of work, and what counts as trouble. Knows no table.

SQLite has one writer at a time, so the writing pool holds one connection and callers queue for it in the order of their
coming; readers have connections of their own and see the last commit (WAL). PostgreSQL has one pool for both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.ledger.errors import BadDatabaseUrl, LedgerError, LedgerUnavailable

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S = 5.0  # for a whole transaction, with the wait for a connection; after it, LedgerUnavailable
ATTEMPTS = 3  # of a transaction that certainly left nothing behind: a deadlock's victim, a connection found dead
READERS = 4  # SQLite connections that only read
CONNECTIONS = 10  # PostgreSQL connections
ROLLED_BACK = frozenset({"40001", "40P01"})  # PostgreSQL: serialization failure, deadlock

log = logging.getLogger(__name__)


class Database:
    """A database that is open. Work is an async function whose first argument is the transaction's connection."""

    def __init__(self, writer: AsyncEngine, reader: AsyncEngine, timeout_s: float) -> None:
        self.writer = writer
        self.reader = reader
        self._timeout_s = timeout_s

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Database]:
        """``sqlite:///path`` or ``postgresql://...``; nothing is connected before the first work.

        Raises BadDatabaseUrl.
        """
        parsed = database_url(url)
        if parsed.get_backend_name() == "sqlite":
            writer = sqlite_engine(parsed, timeout_s, writes=True)
            reader = sqlite_engine(parsed, timeout_s, writes=False)
        else:
            writer = reader = postgresql_engine(parsed, timeout_s)
        try:
            yield cls(writer, reader, timeout_s)
        finally:
            await reader.dispose()
            await writer.dispose()

    async def write(
        self, work: Callable[Concatenate[AsyncConnection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work`` in one transaction and commit it; whatever it raises rolls all of it back.

        ``work`` can run more than once, so it touches nothing but the database. Raises LedgerUnavailable.
        """
        return await self._run(self.writer, lambda tx: work(tx, *args, **kwargs), self._timeout_s)

    async def read(
        self, work: Callable[Concatenate[AsyncConnection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work``, which only reads, in one transaction. Raises LedgerUnavailable."""
        return await self._run(self.reader, lambda tx: work(tx, *args, **kwargs), self._timeout_s)

    async def write_slowly(self, work: Callable[[AsyncConnection], Awaitable[T]], timeout_s: float) -> T:
        """:meth:`write` for what may take longer than a transaction of daily life: migrations."""
        return await self._run(self.writer, work, timeout_s)

    async def _run(self, engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], timeout_s: float) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            committing = False
            try:
                async with asyncio.timeout(timeout_s), engine.connect() as tx:
                    transaction = await tx.begin()
                    result = await work(tx)
                    committing = True
                    await transaction.commit()
                    return result
            except StatementError as error:
                if isinstance(error.orig, LedgerError):  # a value was refused on its way into a statement
                    raise error.orig from None
                if not is_trouble(error):
                    raise
                if committing or attempt == ATTEMPTS or not left_nothing_behind(error):
                    raise LedgerUnavailable(sentence(error), outcome_unknown=committing) from error
                log.info("transaction tried again: %s", sentence(error))
            except (PoolTimeout, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise LedgerUnavailable(sentence(error), outcome_unknown=committing) from error
        raise AssertionError("the last attempt returns or raises")


def is_trouble(error: StatementError) -> bool:
    """Whether the database, not the statement, is to blame, so that the same work may succeed later."""
    blames_statement = isinstance(error, IntegrityError | ProgrammingError | DataError | NotSupportedError)
    return isinstance(error, DBAPIError) and not blames_statement


def left_nothing_behind(error: StatementError) -> bool:
    """Whether it is certain, and worth a second try at once, that nothing of an uncommitted transaction is stored."""
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    return invalidated or getattr(error.orig, "sqlstate", None) in ROLLED_BACK


def sentence(error: BaseException) -> str:
    """What went wrong in the driver's words, or in ours where it has none."""
    if isinstance(error, StatementError):
        return str(error.orig)
    if isinstance(error, TimeoutError | PoolTimeout):
        return "the database did not answer in time"
    return str(error) or type(error).__name__


def database_url(url: str) -> URL:
    """``url`` with the asynchronous driver in it. Raises BadDatabaseUrl."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadDatabaseUrl("a database URL looks like sqlite:///path or postgresql://user@host/name") from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:" and not parsed.query:
            return parsed.set(drivername="sqlite+aiosqlite")
        case "sqlite":
            raise BadDatabaseUrl("a ledger in SQLite needs a file: sqlite:///path")
        case "postgresql" | "postgres":
            query = dict(parsed.query)
            if "sslmode" in query:  # libpq's word for it, which people paste
                query["ssl"] = query.pop("sslmode")
            return parsed.set(drivername="postgresql+asyncpg", query=query)
        case other:
            raise BadDatabaseUrl(f"{other} is neither sqlite nor postgresql")


def sqlite_engine(url: URL, timeout_s: float, *, writes: bool) -> AsyncEngine:
    """An engine whose transactions begin as writers (``BEGIN IMMEDIATE``), or can't write at all."""
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        url,
        pool_size=1 if writes else READERS,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_reset_on_return=None,  # every transaction is ended in _run, and the reset costs a thread's round trip
        connect_args={"isolation_level": None, "timeout": timeout_s / 2},  # the wait for another process's lock
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        if writes:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before anybody is told of it
        else:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def postgresql_engine(url: URL, timeout_s: float) -> AsyncEngine:
    """An engine whose sessions give up by themselves, should this process stop in the middle of something."""
    limit_ms = str(round(timeout_s * 1000))
    return create_async_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout_s,
        connect_args={
            "timeout": timeout_s,
            "server_settings": {
                "application_name": "voiceplane",
                "lock_timeout": limit_ms,
                "idle_in_transaction_session_timeout": limit_ms,
            },
        },
    )
