"""The types of columns: what a database can't hold is refused or replaced here, alike on SQLite and PostgreSQL. Knows
no table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import JSON, BigInteger, ColumnElement, Dialect, Integer, Text, TypeDecorator, cast, type_coerce

from app.ledger.errors import Unstorable
from schemas.base import encode


class Id(TypeDecorator[str]):
    """An id. PostgreSQL can't hold NUL, and UTF-8 no lone surrogates: both are refused for both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and value != storable(value):
            raise Unstorable(f"the id {value!r} can't be stored")
        return value


class JsonText(TypeDecorator[bytes]):
    """JSON that is text already, stored and read as that text."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[bytes | None], str | None]:
        return lambda value: value if value is None else value.decode()

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return type_coerce(cast(column, Text), self)  # else asyncpg decodes it

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], bytes | None]:
        return lambda value: value if value is None else value.encode()


class Texts(TypeDecorator[Mapping[str, str]]):
    """Texts by name, as JSON; NULL where there are none. What can't be stored in them is replaced."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Mapping[str, str] | None], str | None]:
        return lambda value: (
            encode({storable(name): storable(text) for name, text in value.items()}).decode() if value else None
        )

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return type_coerce(cast(column, Text), self)  # else asyncpg decodes it

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], Mapping[str, str]]:
        return lambda value: msgspec.json.decode(value, type=dict[str, str]) if value else {}


class Words(TypeDecorator[str]):
    """Free text for people: characters that can't be stored are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else storable(value)


def storable(words: str) -> str:
    """``words`` with U+FFFD for NUL, and ``?`` for what UTF-8 can't carry."""
    words = words.replace("\0", "\ufffd")
    return words if words.isascii() else words.encode("utf-8", "replace").decode("utf-8")


Points = BigInteger
Millis = BigInteger
RowId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key
