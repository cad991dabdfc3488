"""An outage of the database that all nodes share: it takes no call from any of them (C5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from app.settings import Settings
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.cluster.cut_line import CutLine
from tests.cluster.member import Members
from tests.cluster.proof import LONG, Proof
from tests.cluster.service import Service
from tests.cluster.talk import Talk, talking
from tests.conftest import eventually

FROZEN_S = (3.0, 10.0)
TOO_LONG_S = 40.0
AWAY_S = 20.0 if LONG else 5.0  # from the primary's end until the standby is promoted

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


@pytest.mark.skipif(not LONG, reason="takes long: make test-cluster")
async def test_what_can_not_be_stored_for_longer_than_the_grace_ends_and_moves_nowhere(
    member: Members, postgresql: Cluster, proof: Proof
) -> None:
    async with Service.running(member) as service, talking(service.nodes["one"], service) as talk:
        before = await service.incarnations()
        await talk.pays()
        with postgresql.frozen():
            await asyncio.sleep(TOO_LONG_S)  # the outage itself
        await eventually(lambda: talk.user.state != "ended" and f"it is {talk.user.state}", within_s=30.0)
        assert await service.incarnations() == before, "a node was declared dead"
        books = await service.books("user")
        call = await service.call("call")
        assert (call.epoch, call.end_reason, talk.losses) == (1, "system_error", [])
        assert len(books.units["call"]) <= call.talked_ms / 1000 / service.unit_s
        units = len(books.units["call"])
        held = f"0 takeovers, 0 sockets lost, ended system_error with {units} units for {call.talked_ms} ms"
        proof("C5", f"PostgreSQL frozen for {TOO_LONG_S:g} s, longer than the grace", held)


async def test_a_standby_that_takes_over_moves_no_call(
    postgresql: Cluster, settings_with: Callable[..., Settings], tmp_path: Path, proof: Proof
) -> None:
    """As Patroni does it: the primary is gone, a synchronous standby is promoted, and the address leads there."""
    with postgresql.standby() as standby:
        async with CutLine.to(postgresql.port) as line:
            database = postgresql.new_database().rpartition("/")[2]
            member = Members(postgresql.url(database, line.port), settings_with, tmp_path)
            async with Service.running(member) as service, talking(service.nodes["one"], service) as talk:
                before = await service.incarnations()
                await talk.pays()
                postgresql.stop()
                await asyncio.sleep(AWAY_S)  # the outage itself
                standby.promote()
                line.lead_to(standby.port)
                held = await went_on(service, talk, before)
                proof("C5", f"PostgreSQL failed over to a synchronous standby after {AWAY_S:g} s", held)
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
