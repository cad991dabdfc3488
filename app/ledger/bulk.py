"""Statements about many rows that cost as much as one about a single row.

SQLite's driver releases the interpreter's lock at every step of a statement, and has to wait for it again, which on a
busy node takes longer than the work itself. So on SQLite all rows go into one statement as one JSON text, and come out
of one in the same way: one step, however many rows. On other databases, where the network takes most of the time, the
rows are sent together in the usual way.

The SQL is made once, with the column types' own conversions. All rows that are passed together have the same names.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from app.ledger.tables import insert_unless_there

Row = dict[str, Any]
Convert = Callable[[Any], Any]


def json_text(value: Any) -> str:
    """JSON text; in ASCII where it has a lone surrogate, which can be stored only when it is escaped."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value)


DIALECT = sqlite.dialect()


def execute_sqlite(tx: Connection, words: str, *parameters: Any) -> sqlite3.Cursor:
    """Hand a statement to SQLite directly: through SQLAlchemy that takes ten times as long as the statement."""
    driver: sqlite3.Connection = tx.connection.driver_connection  # type: ignore[assignment]
    try:
        return driver.execute(words, parameters)
    except sqlite3.Error as error:  # as SQLAlchemy raises it
        raise DBAPIError.instance(words, None, error, sqlite3.Error, dialect=tx.dialect) from error


class Bulk(ABC):
    """One statement about columns of a table."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self._table = table
        self._names = tuple(names)

    @cached_property
    @abstractmethod
    def _text(self) -> str:
        """SQLite's statement; its one parameter is a JSON list."""

    @cached_property
    def _converts(self) -> tuple[tuple[str, Convert | None], ...]:
        """The column names in order, each with its type's conversion for values that go in."""
        types = ((name, self._table.c[name].type) for name in self._names)
        return tuple((name, type_.dialect_impl(DIALECT).bind_processor(DIALECT)) for name, type_ in types)

    def _values(self, row: Row) -> list[Any]:
        return [convert(row[name]) if convert else row[name] for name, convert in self._converts]

    def _run(self, tx: Connection, values: Sequence[Any]) -> sqlite3.Cursor:
        return execute_sqlite(tx, self._text, json_text(values))

    def _columns(self, source: str = "value") -> str:
        return ", ".join(f"json_extract({source}, '$[{index}]')" for index in range(len(self._names)))


class BulkInsert(Bulk):
    """Inserts rows. With ``unless_there``, rows that a unique index forbids are left out."""

    def __init__(self, table: Table, names: Sequence[str], *, unless_there: bool = False) -> None:
        super().__init__(table, names)
        self._unless_there = unless_there

    @cached_property
    def _text(self) -> str:
        ending = (
            " WHERE true ON CONFLICT DO NOTHING" if self._unless_there else ""
        )  # without WHERE, ON would be read as a join's
        into = f"{self._table.name} ({', '.join(self._names)})"
        return f"INSERT INTO {into} SELECT {self._columns()} FROM json_each(?){ending}"  # noqa: S608  # our own names

    def __call__(self, tx: Connection, rows: Sequence[Row]) -> int:
        """Returns how many were inserted."""
        if not rows:
            return 0
        if tx.dialect.name == "sqlite":
            return self._run(tx, [self._values(row) for row in rows]).rowcount
        if self._unless_there:  # asyncpg does not say how many of several were inserted
            statement = insert_unless_there(tx.dialect, self._table)
            return sum(tx.execute(statement, row).rowcount for row in rows)
        tx.execute(insert(self._table), list(rows))
        return len(rows)


class BulkUpdate(Bulk):
    """Sets new values in rows that are found by the first of ``names``."""

    @cached_property
    def _text(self) -> str:
        key, *changed = self._names
        new = ", ".join(f"{name} = json_extract(new.value, '$[{at}]')" for at, name in enumerate(changed, 1))
        table = self._table.name
        found = f"{table}.{key} = json_extract(new.value, '$[0]')"
        return f"UPDATE {table} SET {new} FROM json_each(?) AS new WHERE {found}"  # noqa: S608  # our own names

    @cached_property
    def _statement(self) -> Any:
        key, *changed = self._names
        found = self._table.c[key] == bindparam(f"new_{key}")
        return update(self._table).where(found).values({name: bindparam(f"new_{name}") for name in changed})

    def __call__(self, tx: Connection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if tx.dialect.name == "sqlite":
            self._run(tx, [self._values(row) for row in rows])
        else:
            tx.execute(self._statement, [{f"new_{name}": value for name, value in row.items()} for row in rows])


class BulkDelete(Bulk):
    """Deletes the rows whose first column has one of some values."""

    @cached_property
    def _text(self) -> str:
        table = self._table.name
        return f"DELETE FROM {table} WHERE {self._names[0]} IN (SELECT value FROM json_each(?))"  # noqa: S608

    @cached_property
    def _statement(self) -> Any:
        return delete(self._table).where(self._table.c[self._names[0]].in_(bindparam("keys", expanding=True)))

    def __call__(self, tx: Connection, keys: Collection[str]) -> None:
        if not keys:
            return
        if tx.dialect.name == "sqlite":
            self._run(tx, list(keys))
        else:
            tx.execute(self._statement, {"keys": list(keys)})


class BulkLock(Bulk):
    """Reads the rows whose first column has one of some values, and locks them until the commit.

    They come in the order of that column, so that two lockers can't deadlock.
    """

    @cached_property
    def _text(self) -> str:
        key, table = self._names[0], self._table.name
        found = f"SELECT {', '.join(self._names)} FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))"  # noqa: S608
        columns = ", ".join(self._names)
        return f"SELECT json_group_array(json_array({columns})) FROM ({found} ORDER BY {key})"  # noqa: S608

    @cached_property
    def _statement(self) -> Any:
        columns = [self._table.c[name] for name in self._names]
        key = columns[0]
        return select(*columns).where(key.in_(bindparam("keys", expanding=True))).order_by(key).with_for_update()

    def __call__(self, tx: Connection, keys: Collection[str]) -> list[Row]:
        """The rows as the driver gives them: on SQLite, a boolean is 0 or 1."""
        if not keys:
            return []
        if tx.dialect.name == "sqlite":
            found = msgspec.json.decode(self._run(tx, list(keys)).fetchone()[0])
            return [dict(zip(self._names, row, strict=True)) for row in found]
        return [dict(row) for row in tx.execute(self._statement, {"keys": list(keys)}).mappings()]
