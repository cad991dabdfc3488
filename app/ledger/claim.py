"""One node per database: a start takes over the open calls that it finds, and must not take those of a running node.

On SQLite the claim is a lock on a file, and lasts as long as the process. On PostgreSQL it is an advisory lock of a
session, and is lost with its connection, as when the server restarts. So it is watched and taken again as soon as the
server is back, and nothing is written without it. Where another node was faster, that one has our calls: then this node
writes nothing any more, until it is started again.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.ledger.backend import named, sqlite_file
from app.ledger.database import database_url, unavailable
from app.ledger.errors import DatabaseClaimed, LedgerUnavailable
from app.ledger.postgresql import NOT_CONNECTED, PostgresDatabase
from app.private import make_private_file, make_private_folder

PATIENCE_S = 10.0  # the other node may be ending, or have died with its machine, which PostgreSQL notices late
TRY_EVERY_S = 0.2
BEAT_S = 1.0  # between two checks of the session; that it was closed is noticed at once
BEAT_WITHIN_S = 2.0  # asyncpg notices a server that vanished in no other way
WRITERS_WAIT_S = 1.0  # writers wait so long for a claim that is being taken again
ANSWER_WITHIN_S = 5.0
CLAIM = 0x566F696365506C02  # PostgreSQL advisory lock: its holder is the database's node
END_SESSION = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid AND backend_start = :backend_start"
)
THIS_SESSION = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
TROUBLE = (OSError, SQLAlchemyError, *NOT_CONNECTED)  # a TimeoutError is an OSError

Attempt = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


class Claim:
    """The claim that the database is this node's. This one is a lock on a file, and is never lost."""

    def check(self) -> None:
        """Raises LedgerUnavailable where the database is not this node's now."""

    async def require(self) -> None:
        """Like :meth:`check`, but first wait a moment for a claim that is being taken again."""


@asynccontextmanager
async def claimed(url: str, patience_s: float = PATIENCE_S) -> AsyncIterator[Claim]:
    """The database is this node's until the block is left or the process ends, however it ends.

    On PostgreSQL it may be lost meanwhile, as the Claim says. That is noticed within ``BEAT_S + BEAT_WITHIN_S``: the
    claim guards against a mistaken start, not against a split network.
    Raises DatabaseClaimed where another node has it and keeps it; BadDatabaseUrl, LedgerUnavailable.
    """
    file = sqlite_file(url)
    async with AsyncExitStack() as stack:
        try:
            claim = by_file(file, url, patience_s) if file else by_session(url, patience_s)
            entered = await stack.enter_async_context(claim)
        except TROUBLE as error:
            raise LedgerUnavailable(f"{named(url)} can't be used: {unavailable(error)}") from error
        yield entered


async def taken(attempt: Attempt, url: str, patience_s: float) -> None:
    """Try until an attempt has succeeded. Raises DatabaseClaimed where none does in time."""
    if await attempt():
        return
    log.warning("another node has %s: waiting for its end, %.0f s at most", named(url), patience_s)
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        await asyncio.sleep(TRY_EVERY_S)
        if await attempt():
            return
    raise DatabaseClaimed(f"another node has {named(url)}, and two would end each other's calls")


@asynccontextmanager
async def by_file(database: Path, url: str, patience_s: float) -> AsyncIterator[Claim]:
    """Claim by a lock (flock(2)) on a file beside the database: on the database's own file, closing ours would drop
    SQLite's."""
    make_private_folder(database.parent)
    file = database.with_name(f"{database.name}-node")
    make_private_file(file)
    lock = os.open(file, os.O_RDWR | os.O_CLOEXEC)

    async def attempt() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        await taken(attempt, url, patience_s)
        yield Claim()
    finally:
        os.close(lock)


@asynccontextmanager
async def by_session(url: str, patience_s: float) -> AsyncIterator[Claim]:
    """Claim by an advisory lock, in a session of its own."""
    async with PostgresDatabase.open(database_url(url), ANSWER_WITHIN_S) as database:
        claim = SessionClaim(database.engine, url, patience_s)
        await claim.take()
        keeper = asyncio.create_task(claim.keep(), name="claim on the database")
        try:
            yield claim
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await claim.release()


class SessionClaim(Claim):
    """An advisory lock of a PostgreSQL session; :meth:`keep` takes it again when the session is gone."""

    def __init__(self, engine: AsyncEngine, url: str, patience_s: float) -> None:
        self._engine = engine
        self._url = url
        self._patience_s = patience_s
        self._held = asyncio.Event()
        self._lost = False  # to another node, for good
        self._session: AsyncConnection | None = None
        self._former: dict[str, Any] | None = None  # the session that held it last

    def check(self) -> None:
        if self._lost:
            raise LedgerUnavailable(f"another node has taken {named(self._url)}, and this one must be started again")
        if not self._held.is_set():
            raise LedgerUnavailable(f"the claim on {named(self._url)} is not taken again yet")

    async def require(self) -> None:
        if not self._held.is_set() and not self._lost:
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITERS_WAIT_S):
                    await self._held.wait()
        self.check()

    async def take(self) -> None:
        """Take the lock. Raises DatabaseClaimed where another node has it and keeps it, and the errors in TROUBLE."""
        connection = await self._engine.connect()
        session = self._session = await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            if self._former is not None:  # the server may not have noticed its end, and still hold its lock
                await session.execute(END_SESSION, self._former)
            await taken(self._attempt, self._url, self._patience_s)
            self._former = dict((await session.execute(THIS_SESSION)).mappings().one())
        except BaseException:
            await self.release()
            raise
        self._held.set()

    async def _attempt(self) -> bool:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return bool(await self._running.scalar(select(func.pg_try_advisory_lock(CLAIM))))

    @property
    def _running(self) -> AsyncConnection:
        assert self._session is not None  # noqa: S101  between take and release
        return self._session

    async def keep(self) -> None:
        """Take it again whenever it is lost, until cancelled or until another node has it."""
        while not self._lost:
            try:
                await self._until_gone()
            except Exception as error:  # whatever it is: an uncertain claim is none
                log.warning("the claim on %s is lost: %s", named(self._url), unavailable(error))
            await self.release()
            await self._take_again()

    async def _until_gone(self) -> None:
        """Returns when the session is closed; raises where it does not answer."""
        gone = asyncio.Event()
        driver: Any = (await self._running.get_raw_connection()).driver_connection
        driver.add_termination_listener(lambda _: gone.set())
        while not gone.is_set():
            async with asyncio.timeout(BEAT_WITHIN_S):
                await self._running.execute(select(1))
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await gone.wait()

    async def _take_again(self) -> None:
        level = logging.WARNING  # only once: the server may be away for long
        while not self._held.is_set():
            try:
                await self.take()
            except DatabaseClaimed:
                self._lost = True
                log.critical("another node has taken %s: this one stores nothing any more", named(self._url))
                return
            except Exception as error:  # the server is not back yet
                log.log(level, "the claim on %s can't be taken again yet: %s", named(self._url), unavailable(error))
                level = logging.DEBUG
                await asyncio.sleep(TRY_EVERY_S)
        log.warning("the claim on %s is taken again", named(self._url))

    async def release(self) -> None:
        """Close the session, and with it release the lock."""
        self._held.clear()
        if self._session is not None:
            await self._session.invalidate()  # not back into the pool, where it would keep the lock
            await self._session.close()
            self._session = None
