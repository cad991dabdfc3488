"""Which database a URL names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from app.ledger.database import Database, database_url
from app.ledger.postgresql import SESSION, PostgresDatabase
from app.ledger.sqlite import SqliteDatabase


def open_database(url: str, timeout_s: float, session: str = SESSION) -> AbstractAsyncContextManager[Database]:
    """The database at ``sqlite:///path`` or ``postgresql://...``; it connects at the first piece of work.

    ``session`` names this process to PostgreSQL.

    Raises BadDatabaseUrl.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase.open(parsed, timeout_s)
    return PostgresDatabase.open(parsed, timeout_s, session)


def named(url: str) -> str:
    """A database's name for people, without its password. Raises BadDatabaseUrl."""
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        return f"the database {parsed.database}"
    return f"the database {parsed.database} on PostgreSQL at {parsed.host or 'localhost'}:{parsed.port or 5432}"


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; None for another kind of database. Raises BadDatabaseUrl."""
    parsed = database_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None
