"""The way to the database: one transaction per piece of work, and which failures pass. Knows no table.

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

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Observer = Callable[[str, float, bool], None]
"""Gets the name of a piece of work, the seconds until it was on the disk or refused, and False where the database could
not take it."""


class Guard(Protocol):
    """Says whether this node may write now."""

    def check(self) -> None:
        """Raises LedgerUnavailable where it may not."""

    async def require(self) -> None:
        """As :meth:`check`; may wait a moment until it may."""


MAX_COMMIT_DELAY_S = 0.02  # of what nobody waits for, to share a commit; several commits long
TIMEOUT_S = 5.0  # for a whole transaction, with the wait for its turn; after it, LedgerUnavailable


class Database(ABC):
    """A database that is open."""

    observe: Observer | None = None
    guard: Guard | None = None

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` and return when what it did is on the disk; whatever it raises undoes all of it.

        Raises LedgerUnavailable.
        """
        return await self._watched(work.__name__, lambda: self.commit(lambda tx: work(tx, *args, **kwargs)))

    async def write_each(
        self, name: str, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item, *, urgent: bool = True
    ) -> T:
        """As :meth:`write`, for work that does many things as cheaply as one and returns a result for each.

        It may be given the items of others who wait for the same commit. Where it raises, it is run again for each
        item on its own, so that a refusal is nobody else's. Without ``urgent`` nobody waits for it: it may be held back
        a moment, to share another's commit. The observer is told ``name``.
        """
        return await self._watched(name, lambda: self.commit_each(work, item, urgent=urgent))

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work``, which only reads, on one state of what is committed. Raises LedgerUnavailable."""
        return await self.run_read(lambda tx: work(tx, *args, **kwargs))

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
        """Ask something that writes nothing. Raises LedgerUnavailable where the answer is not the right one, too."""

    @abstractmethod
    async def commit(self, work: Callable[[Connection], T]) -> T:
        """:meth:`write` without arguments."""

    async def commit_each(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item, *, urgent: bool = True
    ) -> T:
        """:meth:`write_each`, where nobody's items are put together."""
        return (await self.commit(lambda tx: work(tx, [item])))[0]

    @abstractmethod
    async def run_read(self, work: Callable[[Connection], T]) -> T:
        """:meth:`read` without arguments."""


def database_url(url: str) -> URL:
    """``url`` with the driver in it that we use. Raises BadDatabaseUrl."""
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
            if "sslmode" in query:  # libpq's word for it, which people paste
                query["ssl"] = query.pop("sslmode")
            return parsed.set(drivername="postgresql+asyncpg", query=query)
        case other:
            raise BadDatabaseUrl(f"{other} is neither sqlite nor postgresql")


def is_transient(error: BaseException) -> bool:
    """Whether the database, not the statement, is to blame, so that the same work may succeed later."""
    blames_statement = isinstance(error, IntegrityError | ProgrammingError | DataError | NotSupportedError)
    return isinstance(error, DBAPIError | PoolTimeout | OSError) and not blames_statement


def unavailable(error: BaseException, *, outcome_unknown: bool = False) -> LedgerUnavailable:
    """``error`` as the one exception that callers know, in the driver's words where it has any."""
    words = str(error.orig) if isinstance(error, StatementError) else str(error)
    if isinstance(error, TimeoutError | PoolTimeout):
        words = "the database did not answer in time"
    trouble = LedgerUnavailable(words or type(error).__name__, outcome_unknown=outcome_unknown)
    trouble.__cause__ = error
    return trouble


def translated(error: Exception) -> Exception:
    """What ``error`` means to callers: trouble as LedgerUnavailable, a refusal of ours as it was raised.

    SQLAlchemy wraps a refusal that is raised while a value goes into a statement.
    """
    if is_transient(error):
        return unavailable(error)
    wrapped = error.orig if isinstance(error, StatementError) else None
    return wrapped if isinstance(wrapped, LedgerError) else error
