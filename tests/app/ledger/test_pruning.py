"""What is forgotten, and what never is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import func, select

from app.ledger import Ledger, pruning
from app.ledger.errors import UnknownCall
from app.ledger.tables import metadata
from app.ledger.values import Feedback, NewEvent, Record
from schemas.base import encode
from schemas.call import EndedBy
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    START,
    charged,
    credit,
    end,
    end_call,
    matched_call,
    new_call,
    open_call,
    talking,
    unit,
)
from tests.app.ledger.postgres_cluster import Cluster
from tests.conftest import eventually

LATER = CONNECTED + 1000
A_RECORD = Record(EndedBy.USER, 60.0)


async def rows(ledger: Ledger) -> dict[str, int]:
    """How many are stored, by table."""
    return await ledger._database.read(
        lambda tx: {name: tx.scalar(select(func.count()).select_from(one)) for name, one in metadata.tables.items()}
    )


async def cancelled(ledger: Ledger, call_id: str = "call", ended_at_ms: int = CONNECTED) -> None:
    told = [NewEvent("incoming_call", encode({"callId": call_id}), None, call_id)]
    await open_call(ledger, new_call(call_id, metadata={"order": "17"}), told)
    await end_call(ledger, call_id, reason="cancelled", ended_at_ms=ended_at_ms, duration_seconds=0, record=A_RECORD)
    await ledger.give_feedback(call_id, Feedback("user", 3, (), "", ended_at_ms))


async def test_a_call_that_never_connected_is_forgotten_with_all_its_rows(ledger: Ledger, elsewhere: Ledger) -> None:
    before = await rows(ledger)
    await cancelled(ledger)
    await open_call(elsewhere, new_call("lost"))
    assert len((await ledger.recover(now_ms=CONNECTED)).ended) == 1
    assert await ledger.prune_calls(before_ms=LATER) == 2
    assert await rows(ledger) == before
    assert await ledger.call("call") is None
    with pytest.raises(UnknownCall):
        await end(ledger)
    assert await ledger.prune_calls(before_ms=LATER) == 0


async def test_what_connected_lives_cost_something_or_ended_lately_is_kept(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger, "connected", price=0)
    await end(ledger, "connected")
    await talking(ledger, "charged")
    charged(await ledger.charge_unit(unit(1, "charged")))
    await end(ledger, "charged")
    await open_call(ledger, matched_call("live"))
    await cancelled(ledger, "lately", LATER)
    before = await rows(ledger)
    assert await ledger.prune_calls(before_ms=LATER) == 0
    assert await rows(ledger) == before
    assert await ledger.audit() == ()


async def test_many_are_forgotten_in_batches_of_which_none_is_left(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "CALLS_AT_ONCE", 3)
    monkeypatch.setattr(pruning, "EVENTS_AT_ONCE", 4)
    commits: list[str] = []
    ledger.observe_writes(lambda name, _seconds, _took: commits.append(name))
    for number in range(7):
        await cancelled(ledger, f"call {number}")
    await ledger.append_events([NewEvent("old", b"{}", None)] * 9, at_ms=START)
    commits.clear()
    assert await ledger.prune_calls(before_ms=LATER) == 7
    assert commits == ["unconnected_before"] * 3
    commits.clear()
    assert await ledger.prune_events(before_ms=LATER) == 9
    assert commits == ["events_before"] * 3
    kept = {"event_counter": 1, "schema_compat": 1}  # what the schema itself has
    assert {name: count for name, count in (await rows(ledger)).items() if count} == kept


PRUNERS: dict[str, Callable[[Ledger], Awaitable[int]]] = {
    "events": lambda ledger: ledger.prune_events(before_ms=LATER),
    "calls": lambda ledger: ledger.prune_calls(before_ms=LATER),
}


@pytest.mark.parametrize("name", PRUNERS)
async def test_of_two_nodes_one_prunes_and_the_other_skips_that_round(name: str, cluster: Cluster) -> None:
    prune, url = PRUNERS[name], cluster.new_database()
    async with Ledger.open(url) as one, Ledger.open(url) as two:
        await cancelled(one)
        await one.append_events([NewEvent("old", b"{}", None)] * 2, at_ms=START)
        holder = await asyncpg.connect(url)
        try:
            await holder.execute("BEGIN")
            await holder.execute("LOCK TABLE events IN SHARE MODE")  # in which nothing is deleted from it
            under_way = asyncio.create_task(prune(one))
            await eventually(lambda: nobody_waits(holder))
            assert [await prune_(two) for prune_ in PRUNERS.values()] == [0, 0]
            await holder.execute("ROLLBACK")
        finally:
            await holder.close()
        assert await under_way > 0
        assert await prune(two) == 0
        await cancelled(two, "another")
        assert await prune(two) > 0, "the lock is held for longer than the round"
    cluster.give_back(url)


async def nobody_waits(holder: asyncpg.Connection) -> str | None:
    waiting = await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass")
    return None if waiting else "nobody waits for the table"
