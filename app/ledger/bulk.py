"""Statements about many rows of a table, each made once and sent with all rows together. Knows no table by itself.

All rows that are passed together have the same names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, delete, insert, select, update

from app.ledger.tables import insert_unless_there

Row = dict[str, Any]


class BulkInsert:
    """Inserts rows. With ``unless_there``, rows that a unique index forbids are left out."""

    def __init__(self, table: Table, *, unless_there: bool = False) -> None:
        self._table = table
        self._unless_there = unless_there
        self._statements: dict[str, Any] = {}  # by dialect

    def __call__(self, tx: Connection, rows: Sequence[Row]) -> int:
        """Returns how many were inserted."""
        if not rows:
            return 0
        statement = self._statements.get(tx.dialect.name)
        if statement is None:
            statement = self._statements[tx.dialect.name] = self._statement(tx.dialect)
        inserted = tx.execute(statement, list(rows))
        return len(inserted.all()) if self._unless_there else len(rows)

    def _statement(self, dialect: Dialect) -> Any:
        if not self._unless_there:
            return insert(self._table)
        key, *_ = self._table.primary_key  # asyncpg counts the rows that it inserts only where they come back
        return insert_unless_there(dialect, self._table).returning(key)


class BulkUpdate:
    """Sets new values in rows that are found by the first of ``names``."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self._table = table
        self._names = tuple(names)

    @cached_property
    def _statement(self) -> Any:
        key, *changed = self._names
        found = self._table.c[key] == bindparam(f"new_{key}")
        return update(self._table).where(found).values({name: bindparam(f"new_{name}") for name in changed})

    def __call__(self, tx: Connection, rows: Sequence[Row]) -> None:
        if rows:
            tx.execute(self._statement, [{f"new_{name}": value for name, value in row.items()} for row in rows])


class BulkDelete:
    """Deletes the rows whose column ``key`` has one of some values."""

    def __init__(self, table: Table, key: str) -> None:
        self._table = table
        self._key = key

    @cached_property
    def _statement(self) -> Any:
        return delete(self._table).where(self._table.c[self._key].in_(bindparam("keys", expanding=True)))

    def __call__(self, tx: Connection, keys: Collection[str]) -> None:
        if keys:
            tx.execute(self._statement, {"keys": list(keys)})


class BulkLock:
    """Reads the rows whose first column has one of some values, and locks them until the commit.

    They come in the order of that column, so that two lockers can't deadlock.
    """

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self._table = table
        self._names = tuple(names)

    @cached_property
    def _statement(self) -> Any:
        columns = [self._table.c[name] for name in self._names]
        key = columns[0]
        return select(*columns).where(key.in_(bindparam("keys", expanding=True))).order_by(key).with_for_update()

    def __call__(self, tx: Connection, keys: Collection[str]) -> list[Row]:
        if not keys:
            return []
        return [dict(zip(self._names, row, strict=True)) for row in tx.execute(self._statement, {"keys": list(keys)})]
