"""Changes that wait for one commit of PostgreSQL: together in one transaction, and none fails for another's sake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import event

from app.ledger import Ledger
from app.ledger.commit_queue import MAX_TOGETHER
from app.ledger.errors import CallExists, LedgerUnavailable, PartyBusy, StaleState
from app.ledger.postgresql import PostgresDatabase
from app.ledger.values import Changed, NewEvent
from app.person import Person
from schemas.call import CallState
from tests.app.ledger.forgetful_proxy import forgetful_proxy
from tests.app.ledger.ledger_samples import CONNECTED, NODE, START, USER, matched_call, move, new_call, open_call
from tests.app.ledger.postgres_cluster import Cluster
from tests.conftest import eventually

BRIEF_S = 2.0  # a transaction's time limit: some tests wait for it to pass, all others must not come near it
MANY = 48


def database_of(ledger: Ledger) -> PostgresDatabase:
    assert isinstance(ledger._database, PostgresDatabase)
    return ledger._database


@contextmanager
def counted_commits(ledger: Ledger) -> Iterator[list[None]]:
    commits: list[None] = []

    def count(_connection: object) -> None:
        commits.append(None)

    engine = database_of(ledger).engine.sync_engine
    event.listen(engine, "commit", count)
    yield commits
    event.remove(engine, "commit", count)


@asynccontextmanager
async def held_call(url: str, call_id: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody holds the call's row until the block ends."""
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute("SELECT * FROM calls WHERE id = $1 FOR UPDATE", call_id)
            yield holder
    finally:
        await holder.close()


async def talk(ledger: Ledger, call_id: str) -> Changed:
    return await move(ledger, call_id, CallState.TALKING, cause="rtp", at_ms=CONNECTED)


async def open_many(ledger: Ledger, many: int = MANY) -> list[Changed]:
    return await asyncio.gather(
        *(open_call(ledger, matched_call(f"call-{i:02}"), [NewEvent(f"{i}", b"{}", USER)]) for i in range(many))
    )


async def test_changes_that_wait_share_a_commit_and_are_made_in_the_order_of_asking(postgres_url: str) -> None:
    async with Ledger.open(postgres_url) as ledger:
        with counted_commits(ledger) as commits:
            opened = await open_many(ledger, 2 * MAX_TOGETHER)
        assert len(commits) == 2
        told = [event for changed in opened for event in changed.events]
        assert [event.type for event in told] == [str(i) for i in range(2 * MAX_TOGETHER)]
        assert [event.seq for event in told] == list(range(1, 2 * MAX_TOGETHER + 1))
        assert await ledger.audit() == ()


async def test_work_of_one_kind_shares_a_commit_whatever_is_asked_for_between(postgres_url: str) -> None:
    async with Ledger.open(postgres_url, node=NODE) as ledger:
        people = [Person("otomo", f"otomo-{i}") for i in range(MANY)]
        with counted_commits(ledger) as commits:
            await asyncio.gather(
                *(
                    asked
                    for i, person in enumerate(people)
                    for asked in (
                        open_call(ledger, matched_call(f"call-{i}", f"user-{i}", person.id)),
                        ledger.set_connected(person, connected=True),
                    )
                )
            )
            assert len(commits) == 2
        assert len(await ledger.open_calls()) == MANY
        assert all([await ledger.is_connected(person) for person in people])


async def test_those_that_are_refused_take_no_other_with_them(postgres_url: str) -> None:
    async with Ledger.open(postgres_url) as ledger:
        wanted = [("a", "user-a", "x"), ("a", "user-b", "y"), ("b", "user-a", "y"), ("c", "user-c", "z")]
        with counted_commits(ledger) as commits:
            results = await asyncio.gather(
                *(open_call(ledger, new_call(*one)) for one in wanted),
                *(open_call(ledger, matched_call(f"call-{i}")) for i in range(MANY)),
                return_exceptions=True,
            )
        assert [type(result) for result in results] == [Changed, CallExists, PartyBusy, Changed, *[Changed] * MANY]
        assert len(commits) <= 8
        assert len(await ledger.open_calls()) == MANY + 2
        assert await ledger.audit() == ()


async def test_a_row_that_somebody_holds_makes_only_its_own_change_wait(postgres_url: str) -> None:
    async with Ledger.open(postgres_url, timeout_s=BRIEF_S) as ledger:
        await open_many(ledger)
        async with held_call(postgres_url, "call-00"):
            held, *others = [asyncio.create_task(talk(ledger, f"call-{i:02}")) for i in range(MANY)]
            await asyncio.gather(*others)
            assert not held.done()
            await asyncio.gather(*(open_call(ledger, matched_call(f"later-{i}")) for i in range(MANY)))
            assert not held.done()
        assert (await held).call.state is CallState.TALKING
        assert await ledger.audit() == ()


async def test_what_was_given_up_before_its_commit_is_certainly_not_stored(postgres_url: str) -> None:
    async with Ledger.open(postgres_url, timeout_s=BRIEF_S) as ledger:
        await open_many(ledger)
        async with held_call(postgres_url, "call-00"):
            with pytest.raises(LedgerUnavailable) as failed:
                await talk(ledger, "call-00")
            assert not failed.value.outcome_unknown
        assert (await talk(ledger, "call-00")).call.state is CallState.TALKING
        assert [step.state for step in await ledger.timeline("call-00")] == ["matched", "talking"]


async def test_all_are_told_that_the_answer_to_their_commit_was_lost_and_find_what_it_stored(
    cluster: Cluster, postgres_url: str
) -> None:
    async with Ledger.open(postgres_url, node=NODE) as ledger:
        await open_many(ledger)
    async with (
        forgetful_proxy(cluster.port, b"COMMIT;", after=b"call_transitions") as port,
        Ledger.open(postgres_url.replace(f":{cluster.port}/", f":{port}/"), node=NODE) as ledger,
    ):
        names = [f"call-{i:02}" for i in range(MANY)]
        first = await asyncio.gather(*(talk(ledger, name) for name in names), return_exceptions=True)
        assert all(isinstance(one, LedgerUnavailable) and one.outcome_unknown for one in first), first
        assert len(set(map(id, first))) == MANY  # each has an exception of its own
        second = await asyncio.gather(*(talk(ledger, name) for name in names), return_exceptions=True)
        assert all(isinstance(one, StaleState) and one.state is CallState.TALKING for one in second), second
        assert await ledger.audit() == ()


async def test_a_commit_that_never_arrived_stored_nothing_and_is_told_like_one_whose_answer_was_lost(
    cluster: Cluster, postgres_url: str
) -> None:
    async with Ledger.open(postgres_url, node=NODE) as ledger:
        await open_many(ledger)
    async with (
        forgetful_proxy(cluster.port, b"COMMIT;", after=b"call_transitions", carried_out=False) as port,
        Ledger.open(postgres_url.replace(f":{cluster.port}/", f":{port}/"), node=NODE) as ledger,
    ):
        lost = await asyncio.gather(*(talk(ledger, f"call-{i:02}") for i in range(MANY)), return_exceptions=True)
        assert all(isinstance(one, LedgerUnavailable) and one.outcome_unknown for one in lost), lost
        assert {call.state for call in await ledger.open_calls()} == {CallState.MATCHED}
        await asyncio.gather(*(talk(ledger, f"call-{i:02}") for i in range(MANY)))
        assert {call.state for call in await ledger.open_calls()} == {CallState.TALKING}
        assert await ledger.audit() == ()


async def test_sessions_that_are_ended_in_the_middle_are_not_noticed(postgres_url: str) -> None:
    async with Ledger.open(postgres_url, timeout_s=BRIEF_S) as ledger:
        await open_many(ledger)
        admin = await asyncpg.connect(postgres_url)
        async with held_call(postgres_url, "call-00"):
            moving = [asyncio.create_task(talk(ledger, f"call-{i:02}")) for i in range(MANY)]
            waits = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            pid = None
            async with asyncio.timeout(BRIEF_S):
                while pid is None:
                    pid = await admin.fetchval(waits)
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
        await admin.close()
        assert {changed.call.state for changed in await asyncio.gather(*moving)} == {CallState.TALKING}
        assert await ledger.audit() == ()


async def test_who_gives_up_while_waiting_leaves_nothing_behind(postgres_url: str) -> None:
    async with Ledger.open(postgres_url, node=NODE) as ledger:
        await open_many(ledger)
        database = database_of(ledger)
        async with held_call(postgres_url, "call-00"):
            under_way = asyncio.create_task(talk(ledger, "call-00"))
            await eventually(lambda: database.queue.idle.is_set() and "nothing is under way")
            waiting = asyncio.create_task(talk(ledger, "call-01"))
            await eventually(lambda: not database.queue.waiting and "it does not wait")
            waiting.cancel()
            under_way.cancel()
            await asyncio.wait([waiting, under_way])
        await talk(ledger, "call-02")
    async with Ledger.open(postgres_url, node=NODE) as ledger:
        states = {call.id: call.state for call in await ledger.open_calls()}
        assert states["call-00"] is CallState.TALKING  # who cancels what is under way can't know
        assert states["call-01"] is CallState.MATCHED
        assert states["call-02"] is CallState.TALKING


async def test_an_unurgent_change_shares_the_commit_of_an_urgent_one(postgres_url: str) -> None:
    async with Ledger.open(postgres_url) as ledger:
        with counted_commits(ledger) as commits:
            noted = asyncio.create_task(ledger.append_events([NewEvent("noted", b"{}", USER)], at_ms=START))
            await eventually(lambda: not database_of(ledger).queue.waiting and "it does not wait")
            await open_call(ledger, matched_call("call"))
            assert noted.done()
        assert len(commits) == 1
