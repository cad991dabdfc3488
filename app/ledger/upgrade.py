"""Brings a database to this release's schema: Alembic's migrations, all in one transaction, one process at a time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select

from app.ledger.backend import named, open_database
from app.ledger.database import Database
from app.ledger.errors import LedgerUnavailable, SchemaTooNew
from app.ledger.tables import schema_compat

MIGRATIONS = Path(__file__).with_name("migrations")
UPGRADE_LOCK = 0x566F696365506C01  # PostgreSQL advisory lock: its holder migrates
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
    script = ScriptDirectory.from_config(configured())
    revision = MigrationContext.configure(tx).get_current_revision()
    usable = is_known(script, revision) or may_use(tx, script)
    return SchemaStatus(revision, str(script.get_current_head()), usable, takes_writes(tx))


def is_known(script: ScriptDirectory, revision: str | None) -> bool:
    return revision is None or revision in {one.revision for one in script.walk_revisions()}


def may_use(tx: Connection, script: ScriptDirectory) -> bool:
    """Whether a schema that this release does not know says that it may use it all the same. Revisions are numbers of
    four digits."""
    if not inspect(tx).has_table(schema_compat.name):
        return False
    oldest = tx.scalar(select(schema_compat.c.oldest))
    return oldest is not None and oldest <= str(script.get_current_head())


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
    config = configured()
    config.attributes["connection"] = tx
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    before = MigrationContext.configure(tx).get_current_revision()
    if before is not None and not is_known(script, before):
        if not may_use(tx, script):
            raise SchemaTooNew(f"the database has schema {before}, and this release knows none after {head}")
        log.info("the database has schema %s of a later release, which this one may use", before)
        return Upgrade(before, before)
    if before != head:
        command.upgrade(config, "head")
        log.info("database upgraded from schema %s to %s", before, head)
    return Upgrade(before, str(head))


def configured() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
