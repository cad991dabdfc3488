"""Brings a database to this release's schema: Alembic's migrations, all in one transaction, one process at a time.

A revision is a number of four digits, with which its file's name begins. So whether anything is due is known without
Alembic, which takes long to load: a start after a crash has a schema that is up to date, and calls that wait.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, column, func, inspect, select, table

from app.ledger.backend import named, open_database
from app.ledger.database import Database
from app.ledger.errors import LedgerUnavailable, SchemaTooNew
from app.ledger.tables import schema_compat

MIGRATIONS = Path(__file__).with_name("migrations")
UPGRADE_LOCK = 0x566F696365506C01  # PostgreSQL advisory lock: its holder migrates
ALEMBIC_VERSION = table("alembic_version", column("version_num"))
STATUS_TIMEOUT_S = 5.0
TIMEOUT_S = 60.0  # for all migrations together, and the wait for another process's

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The schema's revision before and after: None before in a new database, equal where nothing was due, as where it
    is a later release's that this one may use."""

    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """A database's revision (None for an empty one), this release's, whether this release may use it, and whether it
    may write. One that it does not know is a later release's."""

    revision: str | None
    head: str
    usable: bool
    writable: bool


async def schema_status(url: str) -> SchemaStatus:
    """The schema's status of the database at ``url``, which must be there. Raises BadDatabaseUrl, LedgerUnavailable."""
    async with opened(url, STATUS_TIMEOUT_S) as database:
        return await database.read(read_status)


def read_status(tx: Connection) -> SchemaStatus:
    revision = current(tx)
    usable = revision is None or revision in revisions() or may_use(tx)
    return SchemaStatus(revision, head(), usable, takes_writes(tx))


@cache
def revisions() -> tuple[str, ...]:
    """All that this release knows, in order."""
    return tuple(sorted(file.name.partition("_")[0] for file in MIGRATIONS.glob("versions/[0-9]*.py")))


def head() -> str:
    return revisions()[-1]


def current(tx: Connection) -> str | None:
    """The schema's revision; None in a new database."""
    if not inspect(tx).has_table(ALEMBIC_VERSION.name):
        return None
    found: str | None = tx.scalar(select(ALEMBIC_VERSION.c.version_num))
    return found


def may_use(tx: Connection) -> bool:
    """Whether a schema that this release does not know says that it may use it all the same."""
    if not inspect(tx).has_table(schema_compat.name):
        return False
    oldest = tx.scalar(select(schema_compat.c.oldest))
    return oldest is not None and oldest <= head()


def takes_writes(tx: Connection) -> bool:
    """Whether it takes writes. A PostgreSQL standby does not; SQLite's depends on the file's permissions."""
    return tx.dialect.name != "postgresql" or not tx.scalar(select(func.pg_is_in_recovery()))


async def upgrade(url: str) -> Upgrade:
    """Upgrade the database at ``url``, making it where there is none.

    Raises BadDatabaseUrl, SchemaTooNew, LedgerUnavailable.
    """
    async with opened(url, TIMEOUT_S) as database:
        return await database.write(migrate)


@asynccontextmanager
async def opened(url: str, timeout_s: float) -> AsyncIterator[Database]:
    """The open database; LedgerUnavailable then names it."""
    try:
        async with open_database(url, timeout_s) as database:
            yield database
    except LedgerUnavailable as error:
        raise LedgerUnavailable(f"{named(url)} can't be used: {error}") from error


def migrate(tx: Connection) -> Upgrade:
    """Run the migrations that are due. Raises SchemaTooNew."""
    if tx.dialect.name == "postgresql":  # SQLite's writer is alone already
        tx.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        patience = func.set_config("idle_in_transaction_session_timeout", f"{TIMEOUT_S:.0f}s", True)
        tx.execute(select(patience))  # for this transaction alone: Alembic reads files between its statements
    before = current(tx)
    if before is not None and before not in revisions():
        if not may_use(tx):
            raise SchemaTooNew(f"the database has schema {before}, and this release knows none after {head()}")
        log.info("the database has schema %s of a later release, which this one may use", before)
        return Upgrade(before, before)
    if before != head():
        run_migrations(tx)
        log.info("database upgraded from schema %s to %s", before, head())
    return Upgrade(before, head())


def run_migrations(tx: Connection, revision: str = "head") -> None:
    """Have Alembic run what is due up to a revision."""
    from alembic import command  # takes long to load, for who needs it once in each release
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = tx
    command.upgrade(config, revision)
