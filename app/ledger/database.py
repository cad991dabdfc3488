"""The way to the database: one transaction per piece of work, and what counts as trouble. Knows no table.

A piece of work is a plain function whose first argument is the connection of its transaction. It may run more than once,
so it touches nothing but the database.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Concatenate, ParamSpec, TypeVar

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

TIMEOUT_S = 5.0  # for a whole transaction, with the wait for its turn; after it, LedgerUnavailable

log = logging.getLogger(__name__)


class Database(ABC):
    """A database that is open."""

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work`` and return when what it did is on the disk; whatever it raises undoes all of it.

        Raises LedgerUnavailable.
        """
        return await self.transact(lambda tx: work(tx, *args, **kwargs))

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work``, which only reads, on what was last committed. Raises LedgerUnavailable."""
        return await self.look(lambda tx: work(tx, *args, **kwargs))

    @abstractmethod
    async def transact(self, work: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    async def look(self, work: Callable[[Connection], T]) -> T: ...


def open_database(url: str, *, timeout_s: float = TIMEOUT_S) -> AbstractAsyncContextManager[Database]:
    """``sqlite:///path`` or ``postgresql://...``; nothing is connected before the first work. Raises BadDatabaseUrl."""
