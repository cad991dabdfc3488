"""PostgreSQL's own ways to fail: it stops, stands still, locks, cuts a connection, or its answer is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Connection, text

from app.ledger import Ledger, events
from app.ledger.backend import open_database
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Charged, NewEvent
from tests.app.ledger.forgetful_proxy import forgetful_proxy
from tests.app.ledger.ledger_samples import NODE, START, USER, balance, charged, credit, talking, unit
from tests.app.ledger.postgres_cluster import Cluster

BRIEF_S = 2.0  # a transaction's time limit: some tests wait for it to pass, all others must not come near it


async def test_a_server_that_stops_is_unavailable_until_it_is_back(own_cluster: Cluster) -> None:
    async with Ledger.open(own_cluster.new_database()) as ledger:
        await credit(ledger, 1000)
        await talking(ledger)
        charged(await ledger.charge_unit(unit(1)))
        own_cluster.stop()
        for _ in range(3):
            with pytest.raises(LedgerUnavailable):
                await ledger.charge_unit(unit(2))
            with pytest.raises(LedgerUnavailable):
                await ledger.balance("user")
        own_cluster.start()
        assert charged(await ledger.charge_unit(unit(1))).already
        assert not charged(await ledger.charge_unit(unit(2))).already
        assert await balance(ledger) == 800
        assert await ledger.audit() == ()


async def test_a_server_that_stands_still_is_unavailable_and_nothing_counts_twice(own_cluster: Cluster) -> None:
    async with Ledger.open(own_cluster.new_database(), timeout_s=BRIEF_S) as ledger:
        await credit(ledger, 1000)
        await talking(ledger)
        with own_cluster.frozen():
            tries = [
                ledger.charge_unit(unit(1)),
                ledger.ping(),
                ledger.balance("user"),
                credit(ledger, 1, key="second"),
            ]
            for failed in await asyncio.gather(*tries, return_exceptions=True):
                assert isinstance(failed, LedgerUnavailable), failed
        charged(await ledger.charge_unit(unit(1)))
        await credit(ledger, 1, key="second")
        assert await balance(ledger) == 901
        assert await ledger.audit() == ()


async def test_a_ledger_is_closed_though_its_server_stands_still(own_cluster: Cluster) -> None:
    with ExitStack() as stack:
        async with Ledger.open(own_cluster.new_database(), timeout_s=BRIEF_S) as ledger:
            await credit(ledger, 1000)
            stack.enter_context(own_cluster.frozen())


async def test_a_server_that_is_not_there_is_unavailable_at_the_start(own_cluster: Cluster) -> None:
    url = own_cluster.new_database()
    own_cluster.stop()
    with pytest.raises(LedgerUnavailable):
        async with Ledger.open(url):
            pass


async def test_a_database_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(LedgerUnavailable, match="nowhere"):
        async with Ledger.open(cluster.url("nowhere")):
            pass


async def test_a_row_that_somebody_holds_makes_only_its_own_charge_wait(cluster: Cluster) -> None:
    url = cluster.new_database()
    async with Ledger.open(url, timeout_s=BRIEF_S) as ledger:
        await credit(ledger, 1000)
        await credit(ledger, 1000, "another")
        await talking(ledger)
        await talking(ledger, "free", "another")
        holder = await asyncpg.connect(url)
        holding = holder.transaction()
        await holding.start()
        await holder.execute("SELECT * FROM calls WHERE id = 'call' FOR UPDATE")
        with pytest.raises(LedgerUnavailable):
            await ledger.charge_unit(unit(1))
        charged(await ledger.charge_unit(unit(1, "free")))
        await holding.rollback()
        await holder.close()
        assert not charged(await ledger.charge_unit(unit(1))).already


async def test_a_node_that_stands_still_before_its_commit_holds_up_nobody_for_long(cluster: Cluster) -> None:
    """It has drawn event numbers, which every writer needs. Its session is ended long before a writer gives up."""
    url = cluster.new_database()
    stands_still = NewEvent("never", b"{}", USER)
    async with (
        Ledger.open(url) as ledger,
        open_database(url, BRIEF_S) as other,
        other.engine.connect() as tx,
    ):
        await tx.begin()
        drawn = await tx.run_sync(lambda sync: events.append(sync, events.drafts([stands_still], START)))
        async with asyncio.timeout(BRIEF_S):
            stored = await ledger.append_events([NewEvent("stored", b"{}", USER)], at_ms=START)
        assert [event.seq for event in stored] == [event.seq for event in drawn]
        assert await ledger.tail(0) == stored
        await tx.invalidate()


async def test_work_that_was_cut_off_for_standing_still_is_done_again_once(cluster: Cluster) -> None:
    tries = 0

    def work(tx: Connection) -> None:
        nonlocal tries
        tries += 1
        events.append(tx, events.drafts([NewEvent("stored", b"{}", USER)], START))
        if tries == 1:
            tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 1"))
            time.sleep(0.1)  # the process stands still
        tx.execute(text("SELECT 1"))

    url = cluster.new_database()
    async with Ledger.open(url) as ledger, open_database(url, BRIEF_S) as database:
        await database.commit(work)
        assert tries == 2
        assert [event.type for event in await ledger.tail(0)] == ["stored"]


async def test_connections_that_were_cut_while_they_rested_are_not_noticed(cluster: Cluster) -> None:
    url = cluster.new_database()
    async with Ledger.open(url) as ledger:
        await asyncio.gather(*(credit(ledger, 10, f"user-{i}") for i in range(6)))
        admin = await asyncpg.connect(url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await admin.close()
        await talking(ledger, user_id="user-1")
        assert isinstance(await ledger.charge_unit(unit(1)), Charged)


async def test_a_charge_whose_answer_was_lost_is_found_by_the_second_try(cluster: Cluster) -> None:
    url = cluster.new_database()
    async with Ledger.open(url, node=NODE) as ledger:
        await credit(ledger, 1000)
        await talking(ledger)
    async with (
        forgetful_proxy(cluster.port, b"COMMIT;", after=b"call_units") as port,
        Ledger.open(url.replace(f":{cluster.port}/", f":{port}/"), node=NODE) as ledger,
    ):
        with pytest.raises(LedgerUnavailable) as failed:
            await ledger.charge_unit(unit(1))
        assert failed.value.outcome_unknown
        again = charged(await ledger.charge_unit(unit(1)))
        assert again.already
        assert len(again.events) == 3
        assert await balance(ledger) == 900
        assert await ledger.audit() == ()


async def test_a_check_tells_a_standby_from_a_database_that_takes_writes(own_cluster: Cluster) -> None:
    async with Ledger.open(own_cluster.new_database(), timeout_s=BRIEF_S) as ledger:
        await ledger.check()
        own_cluster.stop(signal.SIGINT)  # in order, so that it can be one
        with pytest.raises(LedgerUnavailable):
            await ledger.check()
        standby = own_cluster.folder / "data" / "standby.signal"
        standby.touch(mode=0o644)
        own_cluster.start()
        with pytest.raises(LedgerUnavailable, match="standby"):
            await ledger.check()
        own_cluster.stop(signal.SIGINT)
        standby.unlink()
        own_cluster.start()
        await ledger.check()
