"""An outage of the database that all nodes share: it takes no call from any of them (C5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.cluster.member import Members
from tests.cluster.proof import LONG, Proof
from tests.cluster.service import Service
from tests.cluster.talk import Talk, talking

FROZEN_S = (3.0, 10.0, 40.0) if LONG else (3.0, 10.0)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def postgresql() -> Iterator[Cluster]:
    """One of its own, since it becomes another process."""
    with running_cluster() as cluster:
        yield cluster


async def test_a_shared_outage_moves_no_call_and_closes_no_socket(
    member: Members, postgresql: Cluster, http: aiohttp.ClientSession, proof: Proof
) -> None:
    async with Service.running(member) as service, talking(service.nodes["one"], service) as talk:
        before = await service.incarnations()
        await talk.pays()
        postgresql.stop()
        postgresql.start()
        proof("C5", "PostgreSQL crashed and started again", await went_on(service, talk, before))
        for seconds in FROZEN_S:
            with postgresql.frozen():
                await asyncio.sleep(seconds / 2)  # the outage itself
                assert (await service.nodes["two"].health(http))["status"] == "ready", "one outage takes all nodes out"
                await asyncio.sleep(seconds / 2)
            proof("C5", f"PostgreSQL frozen for {seconds:g} s", await went_on(service, talk, before))
        await talk.user.hang_up()
        books = await service.books("user")
        assert len(books.units["call"]) == talk.units


async def went_on(service: Service, talk: Talk, before: set[str]) -> str:
    """What held, once the call is charged again."""
    began = time.monotonic()
    await talk.pays(4)
    assert await service.incarnations() == before, "a node was declared dead"
    call = await service.call("call")
    assert (call.epoch, talk.user.state, talk.otomo.state) == (1, "talking", "talking")
    assert talk.losses == []
    return f"0 takeovers, 0 sockets lost, charged again after {time.monotonic() - began:.1f} s"
