"""SQLite's own ways: many pieces of work in one commit, and what happens when the file can't be written."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from app.ledger import Ledger, claimed
from app.ledger.errors import BalanceTooLow, CallExists, LedgerUnavailable, PartyBusy
from app.ledger.sqlite import SqliteDatabase
from app.ledger.steps import FIRST_EPOCH, DeferredStep, DeferredSteps
from app.ledger.values import Changed, NewEvent
from schemas.base import encode
from schemas.call import CallState
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    START,
    USER,
    balance,
    charged,
    credit,
    end_call,
    matched_call,
    move,
    new_call,
    open_call,
    talking,
    unit,
)

BRIEF_S = 2.0  # a transaction's time limit: some tests wait for it to pass, all others must not come near it


@pytest.fixture
async def ledger(sqlite_url: str) -> AsyncIterator[Ledger]:
    async with Ledger.open(sqlite_url, timeout_s=BRIEF_S) as opened:
        yield opened


def database_of(ledger: Ledger) -> SqliteDatabase:
    assert isinstance(ledger._database, SqliteDatabase)
    return ledger._database


def pragma(ledger: Ledger, words: str) -> str:
    """Ask or tell the writing connection something, between two transactions."""
    with database_of(ledger).writer.connect() as connection:
        cursor = connection.connection.cursor()
        try:
            return str(cursor.execute(f"PRAGMA {words}").fetchone())
        finally:
            cursor.close()


@contextmanager
def slow_disk(ledger: Ledger) -> Iterator[tuple[asyncio.Event, threading.Event]]:
    """A disk on which commits hang: the first event says that one does, the second one lets them go."""
    loop, hangs, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hang(_connection: object) -> None:
        loop.call_soon_threadsafe(hangs.set)
        go.wait()

    event.listen(database_of(ledger).writer, "commit", hang)
    try:
        yield hangs, go
    finally:
        go.set()


async def test_a_commit_is_on_the_disk_when_it_is_told(ledger: Ledger) -> None:
    assert pragma(ledger, "journal_mode") == "('wal',)"
    assert pragma(ledger, "synchronous") == "(2,)"  # FULL
    assert pragma(ledger, "foreign_keys") == "(1,)"


async def test_what_waits_for_the_disk_is_committed_together(sqlite_url: str) -> None:
    async with Ledger.open(sqlite_url) as ledger:
        commits = 0

        def count(_connection: object) -> None:
            nonlocal commits
            commits += 1

        event.listen(database_of(ledger).writer, "commit", count)
        await asyncio.gather(*(credit(ledger, 1, key=str(i)) for i in range(200)))
        assert await balance(ledger) == 200
        assert commits <= 5


async def test_a_refusal_takes_nothing_with_it_that_was_committed_with_it(ledger: Ledger) -> None:
    changes = [("user", 5), ("user", -100), ("user", 7), ("stranger", -100), ("user", 1)]
    tries = [credit(ledger, amount, user, key=str(i)) for i, (user, amount) in enumerate(changes)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [isinstance(result, BalanceTooLow) for result in results] == [False, True, False, True, False]
    assert await balance(ledger) == 13
    assert await ledger.balance("stranger") is None  # its wallet had been made when the debit was refused
    assert await ledger.latest_seq() == 3
    assert await ledger.audit() == ()


async def test_a_database_that_another_process_holds_is_unavailable_until_it_lets_go(
    ledger: Ledger, tmp_path: Path
) -> None:
    await credit(ledger, 100)
    await talking(ledger)
    holder = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    tries = await asyncio.gather(ledger.charge_unit(unit(1)), ledger.ping(), return_exceptions=True)
    for failed in tries:
        assert isinstance(failed, LedgerUnavailable)
        assert not failed.outcome_unknown
    assert "locked" in str(tries[0])
    assert isinstance(getattr(tries[0], "__cause__", None), Exception)
    assert await balance(ledger) == 100  # readers are not held up
    holder.execute("ROLLBACK")
    holder.close()
    assert not charged(await ledger.charge_unit(unit(1))).already


async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_done(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    pages = int(pragma(ledger, "page_count").strip("(,)"))
    pragma(ledger, f"max_page_count = {pages}")
    long = NewEvent("long", encode({"text": "x" * 10_000}), USER)
    failed = 0
    index = 0
    while not failed and index < 500:  # small rows still find room in the pages that are there
        index += 1
        results = await asyncio.gather(
            ledger.charge_unit(unit(index)), ledger.append_events([long], at_ms=START), return_exceptions=True
        )
        failed = sum(isinstance(result, LedgerUnavailable) for result in results)
        assert "full" in "".join(str(result) for result in results if isinstance(result, BaseException)) or not failed
    assert failed
    assert await ledger.audit() == ()
    pragma(ledger, "max_page_count = 1000000")
    charged(await ledger.charge_unit(unit(index)))
    assert await ledger.audit() == ()
    assert (await ledger.billing("call")).units[-1].index == index


async def test_one_that_finds_no_room_does_not_keep_the_others_from_being_stored(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    pages = int(pragma(ledger, "page_count").strip("(,)"))
    pragma(ledger, f"max_page_count = {pages + 10}")
    too_long = NewEvent("long", encode({"text": "x" * 1_000_000}), USER)
    results = await asyncio.gather(
        credit(ledger, 1, key="a"),
        ledger.append_events([too_long], at_ms=START),
        credit(ledger, 1, key="b"),
        return_exceptions=True,
    )
    assert [isinstance(result, LedgerUnavailable) for result in results] == [False, True, False]
    assert await balance(ledger) == 1002


async def test_a_read_only_file_is_unavailable(ledger: Ledger) -> None:
    pragma(ledger, "query_only = ON")
    with pytest.raises(LedgerUnavailable, match="readonly"):
        await credit(ledger, 1)
    assert await balance(ledger) is None
    pragma(ledger, "query_only = OFF")
    await credit(ledger, 1)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"something else entirely, and not short " * 100)
    with pytest.raises(LedgerUnavailable, match=f"the database {file} can't be used: file is not a database"):
        async with Ledger.open(f"sqlite:///{file}"):
            pass
    with pytest.raises(LedgerUnavailable):
        async with Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite/below.sqlite"):
            pass


async def test_the_folder_of_a_new_ledger_is_made(tmp_path: Path) -> None:
    async with Ledger.open(f"sqlite:///{tmp_path}/not/yet/there/ledger.sqlite") as ledger:
        await credit(ledger, 1)


async def test_a_charge_whose_commit_hung_is_found_by_the_second_try(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    with slow_disk(ledger) as (_, go):
        with pytest.raises(LedgerUnavailable, match="in time") as failed:
            await ledger.charge_unit(unit(1))
        assert failed.value.outcome_unknown
        with pytest.raises(LedgerUnavailable) as behind:  # it never got its turn
            await ledger.charge_unit(unit(1))
        assert not behind.value.outcome_unknown
        go.set()
        again = charged(await ledger.charge_unit(unit(1)))
    assert again.already
    assert len(again.events) == 3
    assert await balance(ledger) == 900


async def test_who_gives_up_while_waiting_leaves_nothing_behind(sqlite_url: str) -> None:
    async with Ledger.open(sqlite_url) as ledger:
        with slow_disk(ledger) as (hangs, go):
            under_way = asyncio.create_task(credit(ledger, 1, key="under way"))
            await hangs.wait()
            waiting = asyncio.create_task(credit(ledger, 10, key="waiting"))
            after = asyncio.create_task(credit(ledger, 100, key="after"))
            await asyncio.sleep(0)  # lets both ask
            waiting.cancel()
            under_way.cancel()
            await asyncio.wait([waiting, under_way])
            assert waiting.cancelled()
            assert under_way.cancelled()
            go.set()
            await after
        assert await balance(ledger) == 101  # what was under way is stored, who cancelled it could not know


async def test_closing_waits_for_what_is_under_way(sqlite_url: str) -> None:
    async with Ledger.open(sqlite_url) as ledger:
        with slow_disk(ledger) as (hangs, go):
            under_way = asyncio.create_task(credit(ledger, 1))
            await hangs.wait()
            under_way.cancel()
            go.set()
    async with Ledger.open(sqlite_url) as ledger:
        assert await balance(ledger) == 1
    assert under_way.cancelled()


async def test_of_openings_that_are_stored_together_each_is_refused_on_its_own(ledger: Ledger) -> None:
    with slow_disk(ledger) as (hangs, go):
        under_way = asyncio.create_task(credit(ledger, 1))
        await hangs.wait()
        wanted = [("a", "user-a", "x"), ("a", "user-b", "y"), ("b", "user-a", "y"), ("c", "user-c", "z")]
        tries = asyncio.gather(*(open_call(ledger, new_call(*one)) for one in wanted), return_exceptions=True)
        await asyncio.sleep(0)  # lets all ask
        go.set()
        results = await tries
        await under_way
    assert [type(result) for result in results] == [Changed, CallExists, PartyBusy, Changed]
    assert {call.id for call in await ledger.open_calls()} == {"a", "c"}
    assert await ledger.audit() == ()


async def test_ends_that_are_stored_together_come_after_what_was_asked_before_them(ledger: Ledger) -> None:
    for name in ("a", "b"):
        await open_call(ledger, matched_call(name))
    with slow_disk(ledger) as (hangs, go):
        under_way = asyncio.create_task(credit(ledger, 1))
        await hangs.wait()
        step = DeferredStep("b", FIRST_EPOCH, CallState.CONNECTING, "the first transport", START)
        ends = [
            end_call(ledger, name, reason="manual", ended_at_ms=START, duration_seconds=0) for name in ("a", "b", "a")
        ]
        tries = asyncio.gather(ends[0], ledger.store_deferred(DeferredSteps((step,), (), START)), *ends[1:])
        await asyncio.sleep(0)  # lets all ask
        go.set()
        first, _, other, second = await tries
        await under_way
    assert [step.state for step in await ledger.timeline("b")] == ["matched", "connecting", "ending", "ended"]
    assert (first.already, other.already, second.already) == (False, False, True)
    assert second.call == first.call
    assert second.events == first.events
    assert await ledger.audit() == ()


async def test_what_is_asked_about_one_call_is_done_in_that_order_though_stored_together(ledger: Ledger) -> None:
    await credit(ledger, 500)
    await open_call(ledger, matched_call())
    with slow_disk(ledger) as (hangs, go):
        under_way = asyncio.create_task(credit(ledger, 1, key="second"))
        await hangs.wait()
        step = DeferredStep("call", FIRST_EPOCH, CallState.CONNECTING, "the first transport", START)
        tries = asyncio.gather(
            ledger.store_deferred(DeferredSteps((step,), (), START)),
            move(ledger, "call", CallState.TALKING, cause="rtp", at_ms=CONNECTED),
            ledger.charge_unit(unit(1)),
            open_call(ledger, matched_call("another")),
            end_call(ledger, "call", reason="manual", ended_at_ms=CONNECTED, duration_seconds=60),
        )
        await asyncio.sleep(0)  # lets all ask
        go.set()
        _, moved, tick, _, ended = await tries
        await under_way
    steps = [step.state for step in await ledger.timeline("call")]
    assert steps == ["matched", "connecting", "talking", "ending", "ended"]
    assert (moved.call.state, moved.call.billed_units) == ("talking", 0)
    assert (ended.call.billed_units, ended.call.billed_points) == (1, 100)
    assert [event.type for event in await ledger.tail(2)] == [
        event.type for event in (*charged(tick).events, *ended.events)
    ]
    assert await ledger.audit() == ()


async def test_a_check_finds_the_file_moved_and_put_back_and_is_not_held_up_by_a_writer(
    ledger: Ledger, tmp_path: Path
) -> None:
    await ledger.check()
    file = tmp_path / "ledger.sqlite"
    moved = file.rename(tmp_path / "moved")
    with pytest.raises(LedgerUnavailable, match="is gone"):
        await ledger.check()
    file.touch()
    with pytest.raises(LedgerUnavailable, match="another one"):
        await ledger.check()
    moved.replace(file)
    with slow_disk(ledger) as (hangs, go):
        writing = asyncio.create_task(ledger.ping())
        await hangs.wait()
        await ledger.check()
        go.set()
        await writing


def rights(folder: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}


async def test_the_files_of_a_database_are_for_their_owners_eyes(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    url = f"sqlite:///{folder}/ledger.sqlite"
    async with claimed(url), Ledger.open(url) as ledger:
        await credit(ledger, 1)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        names = {f"ledger.sqlite{ending}" for ending in ("", "-wal", "-shm", "-node")}
        assert rights(folder) == dict.fromkeys(names, 0o600)


async def test_files_that_others_could_read_are_theirs_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    url = f"sqlite:///{folder}/ledger.sqlite"
    async with claimed(url), Ledger.open(url) as ledger:
        await credit(ledger, 1)
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as other:
        other.execute("UPDATE wallets SET balance = balance")
        other.commit()
        for one in folder.iterdir():
            one.chmod(0o644)
        files = sorted(map(str, folder.iterdir()))
        assert len(files) == 4
        async with claimed(url), Ledger.open(url) as ledger:
            assert await balance(ledger) == 1
            assert set(rights(folder).values()) == {0o600}
    told = [record.getMessage() for record in caplog.records if "could be read by others" in record.getMessage()]
    assert sorted(words.partition(" ")[0] for words in told) == files
