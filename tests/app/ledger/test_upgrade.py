from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, text

from app.ledger import Ledger, Upgrade, schema_status, upgrade
from app.ledger.backend import open_database
from app.ledger.database import database_url
from app.ledger.errors import BadDatabaseUrl, SchemaTooNew
from app.ledger.tables import calls, events, metadata
from app.ledger.upgrade import MIGRATIONS, head, revisions, run_migrations
from app.person import Person
from tests.app.ledger.later_release import of_a_later_release
from tests.app.ledger.ledger_samples import balance, credit
from tests.app.ledger.postgres_cluster import Cluster

ROOT = Path(__file__).parents[3]
HEAD = head()
START_LEDGERS = """
import asyncio, sys
from app.ledger import Ledger

async def start(url, key):
    async with Ledger.open(url) as ledger:
        await ledger.adjust("user", 1, reason="started", idempotency_key=key, at_ms=0)
    print("started", flush=True)

for line in sys.stdin:
    asyncio.run(start(line.strip(), sys.argv[1]))
"""


def schema(tx: Connection) -> dict[str, Any]:
    """Everything that a database says about its tables, in an order that does not depend on how they were made."""
    inspector = inspect(tx)
    ask: dict[str, Callable[[str], Any]] = {
        "indexes": inspector.get_indexes,
        "uniques": inspector.get_unique_constraints,
        "checks": inspector.get_check_constraints,
        "foreign keys": inspector.get_foreign_keys,
        "columns": inspector.get_columns,
    }
    return {
        f"{table} {what}": [*sorted(words(one) for one in question(table)), words(inspector.get_pk_constraint(table))]
        for table in inspector.get_table_names()
        if table != "alembic_version"
        for what, question in ask.items()
    }


def words(described: Any) -> str:
    """A description without the addresses of the SQL texts in it."""
    options = described.get("dialect_options", {})
    return repr(described | {"dialect_options": {name: str(value) for name, value in options.items()}})


async def test_an_upgrade_makes_the_schema_and_is_done_once(url: str) -> None:
    assert await upgrade(url) == Upgrade(None, HEAD)
    assert await upgrade(url) == Upgrade(HEAD, HEAD)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_migrations_make_what_the_tables_say(kind: str, cluster: Cluster, tmp_path: Path) -> None:
    sqlite = kind == "sqlite"
    migrated, made = (f"sqlite:///{tmp_path}/{i}" if sqlite else cluster.new_database() for i in range(2))
    await upgrade(migrated)
    async with open_database(migrated, 5.0) as database:
        found = await database.read(schema)
    async with open_database(made, 5.0) as database:
        await database.write(metadata.create_all)
        expected = await database.read(schema)
    assert found == expected
    assert len(found) == len(metadata.tables) * 5


def test_the_files_names_are_the_revisions_in_their_order() -> None:
    walked = [one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    assert [*revisions()] == walked[::-1]


async def test_a_start_loads_alembic_only_where_a_migration_is_due(url: str) -> None:
    async def start() -> str:
        program = f"import asyncio, sys; from app.ledger import upgrade; asyncio.run(upgrade({url!r}))"
        says = "print(*sorted({'alembic', 'mako'} & set(sys.modules)))"
        command = (sys.executable, "-c", f"{program}; {says}")
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].decode().strip()

    assert [await start(), await start()] == ["alembic mako", ""]


async def test_of_many_upgrades_at_once_one_does_it(url: str) -> None:
    upgrades = await asyncio.gather(*(upgrade(url) for _ in range(6)))
    assert sorted(upgrades, key=lambda one: one.before or "") == [Upgrade(None, HEAD), *[Upgrade(HEAD, HEAD)] * 5]


@pytest.mark.parametrize(("kind", "rounds"), [("sqlite", 20), ("postgresql", 3)])
async def test_starters_at_the_same_moment_do_not_disturb_each_other(
    kind: str, rounds: int, cluster: Cluster, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", START_LEDGERS]
    starters = [
        await asyncio.create_subprocess_exec(
            *command, str(i), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for i in range(4)
    ]
    try:
        for turn in range(rounds):
            url = f"sqlite:///{tmp_path}/{turn}" if kind == "sqlite" else cluster.new_database()
            for starter in starters:
                assert starter.stdin is not None
                starter.stdin.write(f"{url}\n".encode())
            assert [await starter.stdout.readline() for starter in starters if starter.stdout] == [b"started\n"] * 4
            async with Ledger.open(url) as ledger:
                assert await balance(ledger) == 4
                assert await ledger.audit() == ()
    finally:
        for starter in starters:
            with suppress(ProcessLookupError):  # it died, and the assertion above says so
                starter.kill()
            await starter.communicate()


async def test_what_is_stored_is_there_after_a_restart(url: str) -> None:
    async with Ledger.open(url) as ledger:
        await credit(ledger, 7)
    async with Ledger.open(url) as ledger:
        assert await balance(ledger) == 7


async def test_a_database_of_a_later_release_is_used_where_that_allows_it(url: str) -> None:
    async with Ledger.open(url) as ledger:
        await credit(ledger, 7)
    await of_a_later_release(url, HEAD)
    assert await upgrade(url) == Upgrade("9999", "9999")
    status = await schema_status(url)
    assert (status.revision, status.head, status.usable) == ("9999", HEAD, True)
    async with Ledger.open(url) as ledger:
        await credit(ledger, 7, key="later")
        assert await balance(ledger) == 14
        assert await ledger.audit() == ()


async def test_a_database_of_a_later_release_is_left_alone_where_that_does_not(url: str) -> None:
    await of_a_later_release(url, "9998")
    assert not (await schema_status(url)).usable
    with pytest.raises(SchemaTooNew, match="9999"):
        async with Ledger.open(url):
            pass


async def test_a_database_that_says_nothing_of_releases_is_left_alone(url: str) -> None:
    await of_a_later_release(url, HEAD)
    async with open_database(url, 5.0) as database:
        await database.write(lambda tx: tx.execute(text("DROP TABLE schema_compat")))
    with pytest.raises(SchemaTooNew, match="9999"):
        async with Ledger.open(url):
            pass


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///data/ledger.sqlite", "sqlite+pysqlite:///data/ledger.sqlite"),
        ("sqlite:////var/ledger.sqlite", "sqlite+pysqlite:////var/ledger.sqlite"),
        ("postgresql://me:secret@db/voice", "postgresql+asyncpg://me:secret@db/voice"),
        ("postgres://db/voice?sslmode=require", "postgresql+asyncpg://db/voice?ssl=require"),
        ("postgresql+psycopg://db/voice", "postgresql+asyncpg://db/voice"),
    ],
)
def test_a_url_needs_no_driver(given: str, used: str) -> None:
    assert database_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "bad", ["", "ledger.sqlite", "sqlite://", "sqlite:///:memory:", "mysql://db/voice", "sqlite:///x?mode=ro"]
)
async def test_a_url_that_can_not_hold_a_ledger_is_refused(bad: str) -> None:
    with pytest.raises(BadDatabaseUrl):
        async with Ledger.open(bad):
            pass


OLD_EVENTS = (  # type, whom it was for, about which call; and the role that it has from then on
    ("incoming_call", "kyo", "call", "otomo"),
    ("call_accepted", "ann", "call", "user"),
    ("call_tick", "kyo", "call", "otomo"),
    ("wallet_update", "ann", None, "user"),
    ("otomo_status", None, None, None),
)


async def test_events_of_an_older_release_get_the_role_of_whom_they_are_for(url: str) -> None:
    async with open_database(url, 5.0) as database:
        await database.write(run_migrations, "0002")
        await database.write(old_events)
    assert await upgrade(url) == Upgrade("0002", HEAD)
    async with Ledger.open(url) as ledger:
        told = [(event.type, event.to) for event in await ledger.tail(0)]
        assert told == [(type_, role and Person(role, str(to))) for type_, to, _, role in OLD_EVENTS]
        assert [event.seq for event in await ledger.events_since(Person("user", "ann"), 0)] == [2, 4, 5]
        assert [event.seq for event in await ledger.events_since(Person("otomo", "kyo"), 0)] == [1, 3]


def old_events(tx: Connection) -> None:
    """As the release before it stored them, and the call that most are about."""
    call = {"id": "call", "user_id": "ann", "otomo_id": "kyo", "state": "matched", "node": "main", "exclusive": True}
    tx.execute(insert(calls).values(call | {"price_per_minute": 100, "created_at_ms": 0}))
    for seq, (type_, user_id, call_id, _) in enumerate(OLD_EVENTS, start=1):
        row = {"seq": seq, "user_id": user_id, "call_id": call_id, "type": type_, "payload": b"{}", "at_ms": 0}
        tx.execute(insert(events).values(row))
