"""Pages of rows, newest first. A cursor is the place of the last row of a page, so that new rows do not shift the next
one."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Select, tuple_

from app.ledger.errors import BadCursor
from app.ledger.values import Page

MAX_PAGE = 200  # rows; a longer page is cut to this
MAX_MS = 1 << 53

Item = TypeVar("Item")


def page(
    tx: Connection,
    query: Select[Any],
    place: tuple[Column[int], Column[str]],
    read: Callable[[RowMapping], Item],
    *,
    limit: int,
    cursor: str | None,
    order: tuple[ColumnElement[int], ColumnElement[str]] | None = None,
) -> Page[Item]:
    """The first ``limit`` rows of ``query`` after ``cursor``, in the order of ``place`` (a time and an id). ``order``
    are columns of another table with the same values, by whose index the rows are to be found."""
    limit, order = min(max(limit, 1), MAX_PAGE), order or place
    if cursor is not None:
        query = query.where(tuple_(*order) < tuple_(*read_cursor(cursor)))
    query = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
    rows = tx.execute(query).mappings().all()
    at_column, id_column = place
    more = len(rows) > limit
    next_cursor = write_cursor(rows[limit - 1][at_column], rows[limit - 1][id_column]) if more else None
    return Page(tuple(read(row) for row in rows[:limit]), next_cursor)


def write_cursor(at_ms: int, row_id: str) -> str:
    return urlsafe_b64encode(f"{at_ms}.{row_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    """The place that a cursor names. Raises BadCursor."""
    try:
        at, dot, row_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(".")
        at_ms = int(at)
    except ValueError:
        raise BadCursor("is not one of ours") from None
    if not dot or not row_id or "\0" in row_id or not 0 <= at_ms < MAX_MS:
        raise BadCursor("is not one of ours")
    return at_ms, row_id
