"""Whose database it is: a second node must not come near it, and a killed one must not block it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from app.ledger import Ledger, claimed
from app.ledger.claim import CLAIM, Claim
from app.ledger.errors import DatabaseClaimed, LedgerUnavailable
from tests.app.ledger.ledger_samples import credit
from tests.app.ledger.postgres_cluster import Cluster
from tests.conftest import eventually

END_CLAIM = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"


def not_held(claim: Claim):
    def why_not() -> str:
        try:
            claim.check()
        except LedgerUnavailable as error:
            return str(error)
        return ""

    return why_not


class Cable:
    """A TCP proxy whose clients can be cut off without the server's hearing of it, as by a router that restarts."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._clients: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Cable]:
        cable = cls(port)
        listener = await asyncio.start_server(cable._serve, "127.0.0.1", 0)
        cable.port = listener.sockets[0].getsockname()[1]
        async with listener:
            yield cable
            cable.cut()
            for task in cable._tasks:
                task.cancel()
            await asyncio.gather(*cable._tasks, return_exceptions=True)

    def cut(self) -> None:
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._clients.append(to_client)
        for task in (forward(client, to_server), forward(server, to_client), hold(to_server)):
            self._tasks.add(asyncio.create_task(task))


async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while words := await source.read(65536):
            target.write(words)
    except ConnectionError:
        pass


async def hold(writer: asyncio.StreamWriter) -> None:
    """Open until cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        writer.transport.abort()


async def test_a_second_node_is_refused_while_the_first_one_lives(url: str) -> None:
    async with claimed(url), Ledger.open(url):
        with pytest.raises(DatabaseClaimed, match=r"another node has the database .*, and two would end each other's"):
            async with claimed(url, patience_s=0.5):
                pytest.fail("both have it")
    async with claimed(url, patience_s=0):
        pass


async def test_a_node_waits_for_the_end_of_the_one_before(url: str) -> None:
    entered = asyncio.Event()

    async def second() -> None:
        async with claimed(url):
            entered.set()

    async with claimed(url):
        waiting = asyncio.create_task(second())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(entered.wait(), 0.5)
    await asyncio.wait_for(waiting, 10)
    assert entered.is_set()


async def test_a_database_that_is_not_there_is_named(tmp_path, unused_tcp_port: int) -> None:
    (tmp_path / "file").touch()
    for url in (f"sqlite:///{tmp_path}/file/ledger.sqlite", f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/x"):
        with pytest.raises(LedgerUnavailable, match=r"the database .* can't be used"):
            async with claimed(url):
                pytest.fail("there is none")


async def test_a_claim_is_taken_again_after_the_database_was_restarted(own_cluster: Cluster) -> None:
    url = own_cluster.new_database()
    async with claimed(url) as claim, Ledger.open(url, guard=claim) as ledger:
        await credit(ledger, 1)
        own_cluster.stop()
        await eventually(lambda: not not_held(claim)() and "its end was not seen")
        with pytest.raises(LedgerUnavailable, match="not taken again yet"):
            await credit(ledger, 1, key="meanwhile")
        with pytest.raises(LedgerUnavailable):
            await ledger.check()
        own_cluster.start()
        await eventually(not_held(claim))
        await credit(ledger, 1, key="afterwards")
        await ledger.check()
        with pytest.raises(DatabaseClaimed):
            async with claimed(url, patience_s=0.5):
                pytest.fail("both have it")
    async with claimed(url, patience_s=0):
        pass


async def test_a_claim_that_another_node_took_meanwhile_is_lost_for_good_and_loudly(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    url = cluster.new_database()
    async with claimed(url, patience_s=0.5) as claim, Ledger.open(url, guard=claim) as ledger:
        rival = await asyncpg.connect(url)
        waiting = asyncio.create_task(rival.execute("SELECT pg_advisory_lock($1)", CLAIM))
        admin = await asyncpg.connect(url)
        queued = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

        async def why_not() -> str:
            return "" if await admin.fetchval(queued) else "the rival does not wait yet"

        await eventually(why_not)
        await admin.execute(END_CLAIM)
        await waiting
        await eventually(lambda: "another node has taken" not in caplog.text and "nobody said so")
        assert [record.levelno for record in caplog.records if "has taken" in record.getMessage()] == [logging.CRITICAL]
        with pytest.raises(LedgerUnavailable, match="must be started again"):
            await credit(ledger, 1)
        with pytest.raises(LedgerUnavailable, match="must be started again"):
            await ledger.check()
        assert await ledger.balance("user") is None
        await rival.close()
        await admin.close()
        async with claimed(url, patience_s=2):
            with pytest.raises(LedgerUnavailable, match="must be started again"):
                await credit(ledger, 1)


async def test_a_claim_is_taken_from_ones_own_session_that_the_server_still_holds(cluster: Cluster) -> None:
    url = cluster.new_database()
    async with AsyncExitStack() as stack:
        cable = await stack.enter_async_context(Cable.to(cluster.port))
        claim = await stack.enter_async_context(claimed(url.replace(f":{cluster.port}/", f":{cable.port}/")))
        cable.cut()
        await eventually(lambda: not not_held(claim)() and "its end was not seen")
        await eventually(not_held(claim))
        with pytest.raises(DatabaseClaimed):
            async with claimed(url, patience_s=0.5):
                pytest.fail("both have it")


async def test_a_claim_is_let_go_of_though_the_server_stands_still(own_cluster: Cluster) -> None:
    url = own_cluster.new_database()
    async with claimed(url) as claim:
        with own_cluster.frozen():
            await eventually(lambda: not not_held(claim)() and "its silence was not seen")
        await eventually(not_held(claim))
    async with claimed(url, patience_s=2):
        pass
