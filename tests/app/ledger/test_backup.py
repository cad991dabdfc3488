"""Backups of a ledger in use, taken by each database's own way: whole, restored elsewhere, and started from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.ledger import Ledger, back_up
from app.ledger.errors import BadDatabaseUrl, LedgerUnavailable
from tests.app.ledger.ledger_samples import balance, charged, credit, end, talking, unit
from tests.app.ledger.postgres_cluster import Cluster
from tests.conftest import serving

CREDIT = 1_000_000
LONG_AGO = 1_000_000_000_000  # for a node that starts today


@pytest.fixture
def copied(url: str, cluster: Cluster, tmp_path: Path) -> Callable[[], str]:
    """Takes a backup of ``url`` by that database's own way, restores it, and returns the URL of what came out."""

    def sqlite() -> str:
        back_up(url, tmp_path / "copy.sqlite")
        return f"sqlite:///{tmp_path}/copy.sqlite"

    def postgresql() -> str:
        file, restored = cluster.folder / "backup", cluster.new_database()
        cluster._run("pg_dump", "--format=custom", f"--file={file}", url)
        cluster._run("pg_restore", f"--dbname={restored}", str(file))
        return restored

    return sqlite if url.startswith("sqlite") else postgresql


async def charge_on(ledger: Ledger) -> None:
    """Unit after unit from the second, until cancelled."""
    for index in range(2, CREDIT):
        charged(await ledger.charge_unit(unit(index, "open")))


async def test_a_backup_of_a_ledger_in_use_adds_up_and_has_what_was_there(
    ledger: Ledger, copied: Callable[[], str]
) -> None:
    await credit(ledger, CREDIT)
    await talking(ledger, "open", price=1)
    await talking(ledger, "over", user_id="other", price=0)
    ended = await end(ledger, "over", seconds=30)
    charged(await ledger.charge_unit(unit(1, "open")))
    writer = asyncio.create_task(charge_on(ledger), name="charging")
    restored = await asyncio.to_thread(copied)
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    async with Ledger.open(restored) as copy:
        assert await copy.audit() == ()
        assert await copy.call("over") == ended
        open_call = await copy.call("open")
        assert open_call.billed_units >= 1
        assert await balance(copy) == CREDIT - open_call.billed_points
        assert [one.call_id for one in (await copy.recover(now_ms=ended.ended_at_ms)).ended] == ["open"]


async def test_a_node_starts_from_a_backup(
    ledger: Ledger, copied: Callable[[], str], settings_with: Callable[..., Any]
) -> None:
    await credit(ledger, 700)
    await talking(ledger, at_ms=LONG_AGO)
    charged(await ledger.charge_unit(unit(1)))
    async with (
        serving(settings_with(database_url=await asyncio.to_thread(copied))) as server,
        aiohttp.ClientSession(headers=server.headers("user", "user")) as http,
    ):
        wallet = await (await http.get(server.url("/wallet/balance"))).json()
        call = await (await http.get(server.url("/calls/call"))).json()
    assert wallet["balance"] == 600
    assert (call["state"], call["endReason"], call["billedUnits"]) == ("ended", "system_error", 1)


def test_a_backup_is_for_its_owners_eyes_and_one_file(sqlite_url: str, tmp_path: Path) -> None:
    made(sqlite_url)
    told: list[tuple[int, int]] = []
    back_up(sqlite_url, tmp_path / "copy", lambda done, total: told.append((done, total)))
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert told[-1][0] == told[-1][1] > 0
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("ledger.")) == ["copy"]


def test_what_cannot_be_backed_up_is_said(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with pytest.raises(BadDatabaseUrl, match="use pg_dump"):
        back_up("postgresql://localhost/voiceplane", target)
    with pytest.raises(LedgerUnavailable, match="there is no database"):
        back_up(sqlite_url, target)
    made(sqlite_url)
    with pytest.raises(LedgerUnavailable, match=r"can't be copied to .*: .*No such file"):
        back_up(sqlite_url, tmp_path / "nowhere" / "copy")
    target.write_text("something else")
    with pytest.raises(LedgerUnavailable, match="is there already"):
        back_up(sqlite_url, target)
    assert target.read_text() == "something else"


def test_a_damaged_database_is_not_taken_for_a_backup(sqlite_url: str, tmp_path: Path) -> None:
    made(sqlite_url)
    file = tmp_path / "ledger.sqlite"
    pages = file.read_bytes()
    file.write_bytes(pages[:8192] + b"\xff" * 4096 + pages[12288:])
    with pytest.raises(LedgerUnavailable, match="can't be copied"):
        back_up(sqlite_url, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def made(url: str) -> None:
    """An empty ledger."""

    async def open_once() -> None:
        async with Ledger.open(url):
            pass

    asyncio.run(open_once())
