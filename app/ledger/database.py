"""Access to the database: one transaction per piece of work, and which failures are transient. Knows no table.

A piece of work is a plain function whose first argument is the connection of its transaction. It may be run again, so
it touches nothing but the database.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
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

from app.ledger.errors import BadDatabaseUrl, LedgerError, LedgerUnavailable
from app.ledger.subscriptions import Subscriptions

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Observer = Callable[[str, float, bool], None]
"""Gets a piece of work's name, the seconds until it was on the disk or refused, and whether the database could take
it."""


class Guard(Protocol):
    """Says whether this node may write now."""

    def check(self) -> None:
        """Raises LedgerUnavailable where it may not."""

    async def require(self) -> None:
        """Like :meth:`check`, but may first wait a moment until it may."""


TIMEOUT_S = 5.0  # for a whole transaction and the wait for its turn; after it, LedgerUnavailable


class Database(ABC):
    """A database that is open."""

    observe: Observer | None = None
    guard: Guard | None = None

    def __init__(self) -> None:
        self.subscriptions = Subscriptions()  # also an option of the engine that writes

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` and return when it is on the disk; where it raises, all of it is undone.

        Raises LedgerUnavailable.
        """
        return await self._watched(work.__name__, lambda: self.commit(lambda tx: work(tx, *args, **kwargs)))

    async def write_each(
        self, name: str, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item, *, urgent: bool = True
    ) -> T:
        """Like :meth:`write`, for work that handles many items as cheaply as one and returns a result for each.

        It may get the items of several callers that wait for the same commit. Where it raises, it is run again for each
        item on its own, so that a refusal affects no other item. Without ``urgent`` it may be delayed a moment, to
        share another's commit. The observer gets ``name``.
        """
        return await self._watched(name, lambda: self.commit_each(work, item, urgent=urgent))

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work``, which only reads, on one snapshot of what is committed. Raises LedgerUnavailable."""
        return await self.run_read(lambda tx: work(tx, *args, **kwargs))

    async def look_up(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like :meth:`read`, for work that is one statement: it needs no transaction around it."""
        return await self.run_look_up(lambda tx: work(tx, *args, **kwargs))

    async def _watched(self, name: str, commit: Callable[[], Awaitable[T]]) -> T:
        began, took = time.monotonic(), True
        try:
            if self.guard is not None:
                await self.guard.require()
            return await commit()
        except LedgerUnavailable:
            took = False
            raise
        finally:
            if self.observe is not None:
                self.observe(name, time.monotonic() - began, took)

    @abstractmethod
    async def check(self) -> None:
        """Run a query that writes nothing. Raises LedgerUnavailable, also where its answer is wrong."""

    @abstractmethod
    async def commit(self, work: Callable[[Connection], T]) -> T:
        """:meth:`write`, of a function without further arguments."""

    @abstractmethod
    async def commit_each(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item, *, urgent: bool = True
    ) -> T:
        """:meth:`write_each`, without the observer."""

    @abstractmethod
    async def run_read(self, work: Callable[[Connection], T]) -> T:
        """:meth:`read`, of a function without further arguments."""

    @abstractmethod
    async def run_look_up(self, work: Callable[[Connection], T]) -> T:
        """:meth:`look_up`, of a function without further arguments."""


def database_url(url: str) -> URL:
    """``url`` with the name of our driver in it. Raises BadDatabaseUrl."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadDatabaseUrl("a database URL looks like sqlite:///path or postgresql://user@host/name") from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:" and not parsed.query:
            return parsed.set(drivername="sqlite+pysqlite")
        case "sqlite":
            raise BadDatabaseUrl("a ledger in SQLite needs a file: sqlite:///path")
        case "postgresql" | "postgres":
            query = dict(parsed.query)
            if "sslmode" in query:  # libpq's name of the option, which people paste
                query["ssl"] = query.pop("sslmode")
            return parsed.set(drivername="postgresql+asyncpg", query=query)
        case other:
            raise BadDatabaseUrl(f"{other} is neither sqlite nor postgresql")


def is_transient(error: BaseException) -> bool:
    """Whether the database is to blame and not the statement, so that the same work may succeed later."""
    blames_statement = isinstance(error, IntegrityError | ProgrammingError | DataError | NotSupportedError)
    return isinstance(error, DBAPIError | PoolTimeout | OSError) and not blames_statement


def unavailable(error: BaseException, *, outcome_unknown: bool = False) -> LedgerUnavailable:
    """``error`` as LedgerUnavailable, in the driver's words where it has any."""
    words = str(error.orig) if isinstance(error, StatementError) else str(error)
    if isinstance(error, TimeoutError | PoolTimeout):
        words = "the database did not answer in time"
    trouble = LedgerUnavailable(words or type(error).__name__, outcome_unknown=outcome_unknown)
    trouble.__cause__ = error
    return trouble


def translated(error: Exception) -> Exception:
    """``error`` as callers know it: trouble as LedgerUnavailable, a refusal of ours as it was raised (SQLAlchemy wraps
    one that is raised while a value goes into a statement).
    """
    if is_transient(error):
        return unavailable(error)
    wrapped = error.orig if isinstance(error, StatementError) else None
    return wrapped if isinstance(wrapped, LedgerError) else error
