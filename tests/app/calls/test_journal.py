"""Stored, then told: in the order of the commits, all of it, and once."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import asynccontextmanager, closing

from app.calls import journal as journal_module
from app.calls.journal import Journal
from app.ledger import Ledger
from app.ledger.steps import Talked
from app.ledger.values import NewEvent, UnitDue
from app.person import Person
from app.tasks import Tasks
from schemas.base import encode
from tests.app.conftest import Desk
from tests.conftest import eventually

IMPATIENT_S = 0.8  # the ledger's timeout, where a test has the database locked
SOON_MS = 1_800_000_000_000


def event(name: str, user_id: str = "user") -> NewEvent:
    return NewEvent(name, encode({"name": name}), Person("user", user_id))


def has_not_failed(caplog):
    return "wait for the ledger" not in caplog.text and "the first try has not failed"


def not_told(desk: Desk, count: int):
    return lambda: len(desk.audience.events) < count and f"{len(desk.audience.events)} of {count} were told"


async def test_what_is_told_is_in_the_database_already(tmp_path):
    """Another connection sees every event at the moment at which it is handed out."""
    path = tmp_path / "ledger.sqlite"
    seen: list[int] = []

    def hear(events):
        with closing(sqlite3.connect(path)) as other:
            count = "SELECT count(*) FROM events WHERE seq = ?"
            seen.extend(other.execute(count, (one.seq,)).fetchone()[0] for one in events)

    async with Ledger.open(f"sqlite:///{path}") as ledger:
        journal = Journal(ledger, hear, await ledger.latest_seq())
        async with running(journal):
            journal.append(event("first"))
            await journal.adjust("user", 100, reason="gift", idempotency_key="one")
            await eventually(lambda: len(seen) < 2 and f"{len(seen)} events were told")
    assert seen == [1, 1]


async def test_events_come_in_the_order_in_which_they_were_told(desk):
    names = [f"event-{number}" for number in range(500)]
    for name in names:
        desk.journal.append(event(name))
    await eventually(not_told(desk, len(names)))
    assert desk.audience.types() == names


async def test_many_writers_at_once_are_told_in_the_order_of_their_commits(desk):
    for number in range(100):
        desk.journal.append(event(f"event-{number}"))
    await asyncio.gather(
        *(desk.journal.adjust(f"user-{one}", 1, reason="gift", idempotency_key=f"{one}") for one in range(100))
    )
    await eventually(not_told(desk, 200))
    assert desk.audience.numbers() == list(range(1, 201))


async def test_a_commit_whose_answer_was_lost_is_told_with_the_next_one(desk):
    """Its writer gave up; what it stored stands in the ledger, between what was told and what comes."""
    await desk.journal.adjust("user", 1, reason="gift", idempotency_key="one")
    lost = await desk.ledger.append_events([event("lost"), event("lost too")], at_ms=SOON_MS)
    desk.journal.append(event("next"))
    await eventually(not_told(desk, 4))
    assert desk.audience.types() == ["wallet_update", "lost", "lost too", "next"]
    assert desk.audience.numbers()[1:3] == [one.seq for one in lost]


async def test_what_was_there_before_the_node_started_is_not_told_again(tmp_path):
    heard: list[str] = []
    async with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        await ledger.append_events([event("old")], at_ms=SOON_MS)
        journal = Journal(ledger, lambda events: heard.extend(one.type for one in events), await ledger.latest_seq())
        async with running(journal):
            journal.append(event("new"))
            await eventually(lambda: not heard and "nothing was told")
    assert heard == ["new"]


async def test_a_repeated_adjustment_is_not_told_again(desk):
    for _ in range(2):
        await desk.journal.adjust("user", 5, reason="gift", idempotency_key="one")
    assert [one["balance"] for one in desk.audience.payloads("wallet_update")] == [5]


async def test_a_unit_that_is_charged_again_is_not_told_again(desk):
    call = await desk.talking(price=0)
    due = UnitDue(call.id, call.epoch, 1, SOON_MS, 60_000)
    [first], [again] = await desk.journal.charge_units([due]), await desk.journal.charge_units([due])
    assert (first.already, again.already) == (False, True)
    assert again.events == first.events
    assert desk.audience.types() == ["call_tick", "call_tick"]


async def test_events_wait_for_a_database_that_is_locked(desk_with, caplog):
    async with desk_with(timeout_s=IMPATIENT_S) as desk:
        with desk.locked():
            desk.journal.append(event("first"))
            await eventually(lambda: has_not_failed(caplog))
            desk.journal.append(event("second"))
            assert desk.audience.events == []
        desk.journal.append(event("third"))
        await eventually(not_told(desk, 3))
        assert desk.audience.types() == ["first", "second", "third"]


async def test_an_event_whose_commit_was_cut_off_is_told_once(desk_with, caplog):
    async with desk_with(timeout_s=IMPATIENT_S, runs=False) as desk:
        desk.journal.append(event("first"))
        desk.journal.append(event("second"))
        background = Tasks()
        async with desk.stalled_commit():
            background.start(desk.journal.run(), "journal")
            await eventually(lambda: has_not_failed(caplog))
        desk.journal.append(event("third"))
        await eventually(lambda: "third" not in desk.audience.types() and "the third was not told")
        await background.close()
        assert desk.audience.types() == ["first", "second", "third"]
        assert [one.type for one in await desk.ledger.tail(0)] == ["first", "second", "third"]


async def test_a_backlog_without_end_loses_its_oldest_loudly(still_desk, caplog, monkeypatch):
    monkeypatch.setattr(journal_module, "BACKLOG", 3)
    with caplog.at_level(logging.ERROR):
        for number in range(5):
            still_desk.journal.append(event(f"event-{number}"))
        assert ["event-0" in record.getMessage() for record in caplog.records] == [True], "once, not once for each"
        async with running(still_desk.journal):
            await eventually(not_told(still_desk, 3))
            await eventually(lambda: "2 events were dropped" not in caplog.text and "their number is not told")
    assert still_desk.audience.types() == ["event-2", "event-3", "event-4"]


async def test_a_backlog_of_many_pages_is_told_in_order(still_desk, monkeypatch):
    monkeypatch.setattr(journal_module, "PAGE", 10)
    names = [f"event-{number}" for number in range(25)]
    for name in names:
        still_desk.journal.append(event(name))
    async with running(still_desk.journal):
        await eventually(not_told(still_desk, 25))
    assert still_desk.audience.types() == names


async def test_a_journal_that_is_many_pages_behind_tells_all_of_them_and_its_own(desk):
    """Another node has stored 2,500 events since this one told its last."""
    async with Ledger.open(f"sqlite:///{desk.path}") as other:
        await other.append_events([event(f"event-{number}") for number in range(2500)], at_ms=SOON_MS)
    await desk.journal.adjust("user", 1, reason="gift", idempotency_key="one")
    assert desk.audience.numbers() == list(range(1, 2502))
    assert desk.audience.types()[-1] == "wallet_update"


async def test_many_who_store_while_the_journal_is_behind_are_all_told_once(desk):
    await desk.ledger.append_events([event(f"event-{number}") for number in range(2500)], at_ms=SOON_MS)
    gifts = (desk.journal.adjust(f"user-{one}", 1, reason="gift", idempotency_key=f"{one}") for one in range(20))
    await asyncio.gather(*gifts)
    assert desk.audience.numbers() == list(range(1, 2521))


async def test_what_was_pruned_before_it_was_told_is_not_waited_for(desk):
    await desk.ledger.append_events([event("old")] * 5, at_ms=SOON_MS)
    await desk.ledger.append_events([event("new")] * 2, at_ms=SOON_MS + 10)
    await desk.ledger.append_events([event("old too")] * 5, at_ms=SOON_MS)
    assert await desk.ledger.prune_events(before_ms=SOON_MS + 10) == 10
    desk.journal.append(event("own"))
    await eventually(not_told(desk, 3))
    desk.journal.append(event("next"))
    await eventually(not_told(desk, 4))
    assert desk.audience.types() == ["new", "new", "own", "next"]
    assert desk.audience.numbers() == [6, 7, 13, 14]


async def test_what_was_pruned_below_ones_own_event_alone_is_not_waited_for(desk):
    """Nothing that could be read shows how far the hole goes, but the answer of one's own commit does."""
    await desk.ledger.append_events([event("old")] * 1500, at_ms=SOON_MS)
    await desk.ledger.prune_events(before_ms=SOON_MS + 10)
    await desk.journal.adjust("user", 1, reason="gift", idempotency_key="one")
    assert desk.audience.numbers() == [1501]


async def test_a_lost_answer_many_pages_long_is_told_and_stored_once(desk_with, caplog, monkeypatch):
    monkeypatch.setattr(journal_module, "PAGE", 4)
    async with desk_with(timeout_s=IMPATIENT_S, runs=False) as desk:
        await desk.ledger.append_events([event("another node's")] * 10, at_ms=SOON_MS)
        for number in range(9):
            desk.journal.append(event(f"event-{number}"))
        background = Tasks()
        async with desk.stalled_commit():
            background.start(desk.journal.run(), "journal")
            await eventually(lambda: has_not_failed(caplog))
        await eventually(not_told(desk, 19))
        await background.close()
        assert desk.audience.types() == ["another node's"] * 10 + [f"event-{number}" for number in range(9)]
        assert await desk.ledger.latest_seq() == 19


async def test_proofs_of_life_are_best_effort(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S) as desk:
        call = await desk.talking()
        with desk.locked():
            await desk.journal.prove_alive({(call.id, call.epoch): Talked(5, call.connected_at.utc_ms + 5)})
        assert (await desk.ledger.call(call.id)).proven_at_ms == call.connected_at.utc_ms
        await desk.journal.prove_alive({(call.id, call.epoch): Talked(6, call.connected_at.utc_ms + 6)})
        stored = await desk.ledger.call(call.id)
        assert (stored.talked_ms, stored.proven_at_ms) == (6, call.connected_at.utc_ms + 6)


@asynccontextmanager
async def running(journal: Journal):
    background = Tasks()
    background.start(journal.run(), "journal")
    yield
    await background.close()
