"""Statements of the hot path, compiled once and handed to the driver as they are.

On SQLite a statement takes microseconds, and SQLAlchemy's way to it ten times as long. So what is said with every call
is compiled at first use, with the types' own conversions of its parameters, and from then on goes straight to the
driver. On other databases, where the network is what takes long, it is executed as any other statement.

A prepared statement gives rows as the driver does: whoever reads them converts booleans and JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Row = dict[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The text, and its parameters' names in order, each with the conversion that its type asks for."""

    text: str
    parameters: tuple[tuple[str, Convert | None], ...]

    def run(self, tx: Connection, rows: Sequence[Row]) -> list[Row]:
        values = [self._values(row) for row in rows]
        driver: sqlite3.Connection = tx.connection.driver_connection  # type: ignore[assignment]
        try:
            if len(values) > 1:
                driver.executemany(self.text, values)
                return []
            cursor = driver.execute(self.text, values[0])
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except sqlite3.Error as error:  # as SQLAlchemy raises it
            raise DBAPIError.instance(self.text, None, error, sqlite3.Error, dialect=tx.dialect) from error

    def _values(self, row: Row) -> tuple[Any, ...]:
        return tuple([convert(row[name]) if convert else row[name] for name, convert in self.parameters])


class Prepared:
    """One statement whose text never changes; ``statement`` is made for a dialect where it has to be."""

    def __init__(self, statement: Callable[[Dialect], Any]) -> None:
        self._statement = statement
        self._compiled: Compiled | None = None

    def __call__(self, tx: Connection, rows: Sequence[Row]) -> list[Row]:
        """Execute it for one row of parameters, or for many that all have the same names. Returns what it returns."""
        if tx.dialect.name != "sqlite":
            result = tx.execute(self._statement(tx.dialect), list(rows) if len(rows) > 1 else rows[0])
            return [dict(row) for row in result.mappings()] if result.returns_rows else []
        if self._compiled is None:
            self._compiled = compiled(self._statement(tx.dialect), tx.dialect, tuple(rows[0]))
        return self._compiled.run(tx, rows)


def compiled(statement: ClauseElement, dialect: Dialect, names: tuple[str, ...]) -> Compiled:
    done: Any = statement.compile(dialect=dialect, column_keys=list(names))
    order: Sequence[str] = done.positiontup or ()
    converts = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in done.binds.items()}
    return Compiled(str(done), tuple((name, converts[name]) for name in order))
