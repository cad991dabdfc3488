"""PostgreSQL: a pool of connections, one transaction for each piece of work, which takes the row locks that it
needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has no types of its own
from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.ledger.database import Database, is_transient, translated, unavailable
from app.ledger.errors import LedgerUnavailable

T = TypeVar("T")

CONNECTIONS = 10
SESSION = "voiceplane"
KEEPALIVES = {"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""With these the server notices within 10 s that our machine is gone, and releases the locks of its sessions."""
IDLE_IN_TRANSACTION_S = 1.0
"""A node that stops in the middle of a transaction is cut off after this: the one that draws event numbers holds up all
other writers until its commit. Between two statements our event loop never takes so long; if it did, the transaction
would be rolled back and done again."""
ATTEMPTS = 3  # at a transaction that certainly left nothing behind
NOT_CONNECTED = (asyncpg.PostgresError, asyncpg.InterfaceError)  # a failing connect raises these unwrapped
ROLLED_BACK = frozenset({"40001", "40P01"})  # SQLSTATEs: serialization failure, deadlock

log = logging.getLogger(__name__)


class PostgresDatabase(Database):
    """Made by :meth:`open`."""

    def __init__(self, engine: AsyncEngine, timeout_s: float) -> None:
        self.engine = engine
        self._timeout_s = timeout_s

    @classmethod
    @asynccontextmanager
    async def open(cls, url: URL, timeout_s: float, session: str = SESSION) -> AsyncIterator[PostgresDatabase]:
        """``session`` is the ``application_name`` of its sessions."""
        made = engine(url, timeout_s, session)
        try:
            yield cls(made, timeout_s)
        finally:
            await close(made, timeout_s)

    async def check(self) -> None:
        if await self.run_read(lambda tx: tx.exec_driver_sql("SELECT pg_is_in_recovery()").scalar()):
            raise LedgerUnavailable("the database is a standby that takes no writes")

    async def commit(self, work: Callable[[Connection], T]) -> T:
        return await self._transact(work, isolation_level="READ COMMITTED")  # rows that must not change are locked

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        return await self._transact(work, isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def _transact(self, work: Callable[[Connection], T], **options: Any) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            committing = False
            try:
                async with asyncio.timeout(self._timeout_s), self.engine.connect() as tx:
                    await tx.execution_options(**options)
                    transaction = await tx.begin()
                    result = await tx.run_sync(work)
                    committing = True
                    await transaction.commit()
                    return result
            except Exception as error:
                if not (is_transient(error) or isinstance(error, NOT_CONNECTED)):
                    meant = translated(error)
                    raise meant from meant.__cause__
                if committing or attempt == ATTEMPTS or not left_nothing_behind(error):
                    raise unavailable(error, outcome_unknown=committing) from error
                log.info("a transaction is tried again: %s", error)
        raise AssertionError("the last attempt returns or raises")


async def close(engine: AsyncEngine, timeout_s: float) -> None:
    """Close the connections in order; those of a server that does not answer are cut."""
    try:
        async with asyncio.timeout(timeout_s):
            await engine.dispose()
    except TimeoutError:
        log.warning("PostgreSQL does not answer: its connections are cut")


def left_nothing_behind(error: Exception) -> bool:
    """Whether a failed transaction certainly left nothing behind, and is worth a second try at once: the victim of a
    deadlock, or one whose connection from the pool was dead already.
    """
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in ROLLED_BACK


def engine(url: URL, timeout_s: float, session: str = SESSION) -> AsyncEngine:
    """An engine whose sessions the server ends by itself, should this process stop in the middle of a transaction."""
    return create_async_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout_s,
        connect_args={
            "timeout": timeout_s,
            "server_settings": {
                "application_name": session,
                **KEEPALIVES,
                "lock_timeout": in_ms(timeout_s),
                "idle_in_transaction_session_timeout": in_ms(IDLE_IN_TRANSACTION_S),
            },
        },
    )


def in_ms(seconds: float) -> str:
    return str(round(seconds * 1000))
