"""A database as a later release would leave it: with a schema that this one does not know."""

from __future__ import annotations

from sqlalchemy import Connection, text

from app.ledger import upgrade
from app.ledger.backend import open_database

LATER = (
    "ALTER TABLE calls ADD COLUMN of_a_later_release INTEGER",
    "UPDATE alembic_version SET version_num = '9999'",
)


async def of_a_later_release(url: str, oldest: str) -> None:
    """Bring the database to a schema that releases from that of the schema ``oldest`` on may use."""
    await upgrade(url)

    def change(tx: Connection) -> None:
        for statement in (*LATER, f"UPDATE schema_compat SET oldest = '{oldest}'"):
            tx.execute(text(statement))

    async with open_database(url, 5.0) as database:
        await database.write(change)
