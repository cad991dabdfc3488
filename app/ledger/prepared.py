"""Statements of the hot path, compiled once and handed to the driver as they are.

On SQLite a statement takes microseconds, and SQLAlchemy's way to it ten times as long. So what is said with every call
is compiled at first use, with the types' own conversions of its parameters, and from then on goes straight to the
driver. On other databases, where the network is what takes long, it is executed as any other statement.

A prepared statement gives rows as the driver does: whoever reads them converts booleans and JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect
from sqlalchemy.sql import ClauseElement

Row = dict[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The text, and its parameters' names in order, each with the conversion that its type asks for."""

    text: str
    parameters: tuple[tuple[str, Convert | None], ...]

    def values(self, row: Row) -> tuple[Any, ...]:
        return tuple(convert(row[name]) if convert else row[name] for name, convert in self.parameters)


class Prepared:
    """One statement whose text never changes; ``statement`` is made for a dialect where it has to be."""

    def __init__(self, statement: Callable[[Dialect], Any]) -> None:
        self._statement = statement
        self._compiled: Compiled | None = None

    def __call__(self, tx: Connection, rows: Sequence[Row]) -> CursorResult[Any]:
        """Execute it for one row of parameters, or for many that all have the same names."""
        if tx.dialect.name != "sqlite":
            return tx.execute(self._statement(tx.dialect), list(rows) if len(rows) > 1 else rows[0])
        if self._compiled is None:
            self._compiled = compiled(self._statement(tx.dialect), tx.dialect, tuple(rows[0]))
        values = [self._compiled.values(row) for row in rows]
        return tx.exec_driver_sql(self._compiled.text, values if len(values) > 1 else values[0])


def compiled(statement: ClauseElement, dialect: Dialect, names: tuple[str, ...]) -> Compiled:
    done: Any = statement.compile(dialect=dialect, column_keys=list(names))
    order: Sequence[str] = done.positiontup or ()
    converts = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in done.binds.items()}
    return Compiled(str(done), tuple((name, converts[name]) for name in order))
