"""Whose database it is: a second node must not come near it, and a killed one must not block it."""

from __future__ import annotations

import asyncio

import pytest

from app.ledger import Ledger, claimed
from app.ledger.errors import DatabaseClaimed, LedgerUnavailable


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
