"""How each database would read a list: in the order of an index, from the cursor on; never all of it, never sorted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from app.ledger import Ledger
from app.ledger.audit_log import AuditSearch
from app.ledger.paging import write_cursor
from app.ledger.postgresql import PostgresDatabase
from app.ledger.sqlite import SqliteDatabase
from app.ledger.values import LIVE_STATES, CallSearch
from schemas.call import CallState
from tests.app.ledger.ledger_samples import OTOMO, USER

HISTORY = 20_000  # calls of one user with one otomo; enough that reading all of them is the dearer way
MIDDLE = write_cursor(HISTORY // 2, f"call {HISTORY // 2}")


FILL = (
    """
    INSERT INTO calls (id, user_id, otomo_id, state, "exclusive", node, price_per_minute, created_at_ms,
        connected_at_ms, ended_at_ms, end_reason, billed_units, billed_points)
    SELECT 'call ' || i, 'user', 'otomo', CASE WHEN i % 1000 = 0 THEN 'talking' ELSE 'ended' END, FALSE, 'main', 0, i,
        CASE WHEN i % 5 > 0 THEN i END, CASE WHEN i % 1000 > 0 THEN i END,
        CASE WHEN i % 1000 > 0 THEN CASE WHEN i % 7 > 0 THEN 'manual' ELSE 'timeout' END END, 0,
        CASE WHEN i % 100 = 1 THEN 1 ELSE 0 END
    FROM numbers
    """,
    """
    INSERT INTO call_metadata (key, value, created_at_ms, call_id)
    SELECT 'k' || (i % 10), CASE WHEN i % 3 > 0 THEN 'often' ELSE 'v' || i END, i, 'call ' || i FROM numbers
    """,
    """
    INSERT INTO call_feedback (call_id, role, score, tags, comment, at_ms)
    SELECT 'call ' || i, 'user', 5, '[]', '', i FROM numbers
    """,
    """
    INSERT INTO call_transitions (call_id, state, cause, at_ms) SELECT 'call ' || i, 'ended', 'test', i FROM numbers
    """,
    """
    INSERT INTO call_units (call_id, unit_index, points, total_points, duration_seconds, charged_at_ms)
    SELECT 'call ' || i, 1, 0, 0, 0, i FROM numbers
    """,
    """
    INSERT INTO wallets (user_id, balance, updated_at_ms) SELECT 'user ' || i, 0, 0 FROM numbers
    """,
    """
    INSERT INTO point_transactions (id, user_id, amount, reason, idempotency_key, balance_after, at_ms)
    SELECT i, 'user ' || i, 1, 'refund', 'key ' || i, 0, i FROM numbers
    """,
    """
    INSERT INTO refunds (transaction_id, call_id, points, refunded_after) SELECT i, 'call ' || i, 1, 1 FROM numbers
    """,
    """
    INSERT INTO call_records (call_id, ended_by, unit_seconds, quality, flags, transports)
    SELECT 'call ' || i, 'user', 60, '[]', '[]', '[]' FROM numbers
    """,
    """
    INSERT INTO events (seq, role, user_id, call_id, type, payload, at_ms)
    SELECT i, CASE WHEN i % 3 > 0 THEN 'user' END, CASE WHEN i % 3 > 0 THEN 'user' END, 'call ' || i, 'test', '{}', i
    FROM numbers
    """,
    """
    INSERT INTO audit_log (id, at_ms, admin_id, action, call_id)
    SELECT 'line ' || i, i, 'admin ' || (i % 9), 'call.end', 'call ' || (i % 99) FROM numbers
    """,
    """
    INSERT INTO recovery_log (call_id, node, recovered_at_ms, state, ended_at_ms, duration_seconds, billed_units,
        billed_points)
    SELECT 'call ' || i, 'main', i, 'talking', i, 0, 0, 0 FROM numbers
    """,
)
NUMBERS = f"WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {HISTORY})"

Read = Callable[[Ledger], Awaitable[Any]]
LISTS: dict[str, Read] = {
    "a user's calls": lambda ledger: ledger.calls_of(USER),
    "an otomo's calls": lambda ledger: ledger.calls_of(OTOMO, cursor=MIDDLE),
    "everybody's calls": lambda ledger: ledger.calls_of(cursor=MIDDLE),
    "the live calls": lambda ledger: ledger.calls_of(states=LIVE_STATES, cursor=MIDDLE),
    "the calls in a state": lambda ledger: ledger.calls_of(states=(CallState.TALKING,), cursor=MIDDLE),
    "the calls that ended so": lambda ledger: ledger.search_calls(CallSearch(end_reason="timeout"), cursor=MIDDLE),
    "the calls of some time": lambda ledger: ledger.search_calls(CallSearch(from_ms=500, to_ms=9000)),
    "a user's calls of some time": lambda ledger: ledger.search_calls(CallSearch(user_id="user", to_ms=9000)),
    "the calls with a text": lambda ledger: ledger.search_calls(CallSearch(metadata={"k1": "often"}), cursor=MIDDLE),
    "the calls with a rare text": lambda ledger: ledger.search_calls(CallSearch(metadata={"k3": "v3"})),
    "a user's calls with a text": lambda ledger: ledger.search_calls(
        CallSearch(user_id="user", states=(CallState.ENDED,), metadata={"k1": "often"}, from_ms=500)
    ),
    "what was said of a call": lambda ledger: ledger.feedback("call 1"),
    "the records of a page": lambda ledger: ledger.records([f"call {i}" for i in range(50)]),
    "a user's statement": lambda ledger: ledger.usage("user", cursor=MIDDLE),
    "what restarts did": lambda ledger: ledger.recovery_log(),
    "a user's events": lambda ledger: ledger.events_since(USER, 0),
    "an otomo's events": lambda ledger: ledger.events_since(OTOMO, 0),
    "all events": lambda ledger: ledger.tail(0),
    "a call": lambda ledger: ledger.call("call 1"),
    "a call's timeline": lambda ledger: ledger.timeline("call 1"),
    "a call's units": lambda ledger: ledger.billing("call 1"),
    "a call's record": lambda ledger: ledger.record("call 1"),
    "this node's calls": lambda ledger: ledger.open_calls(),
    "the audit log": lambda ledger: ledger.audit_log.search(AuditSearch(), limit=50, cursor=MIDDLE),
    "what was done to a call": lambda ledger: ledger.audit_log.search(
        AuditSearch(call_id="call 1"), limit=50, cursor=None
    ),
    "what an admin did": lambda ledger: ledger.audit_log.search(
        AuditSearch(admin_id="admin 1", from_ms=500), limit=50, cursor=MIDDLE
    ),
    "all of one kind": lambda ledger: ledger.audit_log.search(AuditSearch(action="call.end"), limit=50, cursor=MIDDLE),
    "old lines of the audit log, to be pruned": lambda ledger: ledger.audit_log.prune(before_ms=0),
    "old events, to be pruned": lambda ledger: ledger.prune_events(before_ms=0),
    "old calls, to be pruned": lambda ledger: ledger.prune_calls(before_ms=0),
}
SORTS_A_FEW = {"a call's timeline", "this node's calls"}  # at most eight states; the live calls
IN_ITS_OWN_ORDER = {"what restarts did"}  # SQLite's word for a table that is read from its end is SCAN, too


@pytest.fixture
async def full(url: str) -> AsyncIterator[Ledger]:
    """A ledger with a long history."""
    async with Ledger.open(url) as ledger:
        for words in FILL:
            insert, select = re.split(r"(?=SELECT)", words, maxsplit=1)
            statement = text(f"{NUMBERS} {insert} {select}" if "sqlite" in url else f"{insert} {NUMBERS} {select}")
            await ledger._database.write(lambda tx, statement=statement: tx.execute(statement))
        if "postgresql" in url:  # which looks by itself before long; SQLite never does
            await look_at_the_tables(ledger)
        yield ledger


async def look_at_the_tables(ledger: Ledger) -> None:
    await ledger._database.write(lambda tx: tx.execute(text("ANALYZE")))


async def plans(ledger: Ledger, read: Read) -> list[str]:
    """What the database would do for each statement of a read."""
    match ledger._database:
        case SqliteDatabase(reader=reader, writer=writer):
            engines, explain = (reader, writer), "EXPLAIN QUERY PLAN "
        case PostgresDatabase(engine=engine):
            engines, explain = (engine.sync_engine,), "EXPLAIN "
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "DELETE", "(SELECT")):
            asked.append((statement, parameters))

    for one in engines:
        event.listen(one, "before_cursor_execute", note)
    await read(ledger)
    for one in engines:
        event.remove(one, "before_cursor_execute", note)
    assert asked, "nothing was asked"
    return [
        "\n".join(
            await ledger._database.read(
                lambda tx, words=explain + statement, values=parameters: [
                    str(row[-1]) for row in tx.exec_driver_sql(words, values)
                ]
            )
        )
        for statement, parameters in asked
    ]


def fault_of(name: str, plan: str) -> str:
    """Why a plan is not what it should be; nothing where it is. What is called ``anon_1`` is no table, but what a query
    within it has found."""
    if re.search(r"Seq Scan|SCAN (?!\S+ USING|anon_\d)", plan) and not (name in IN_ITS_OWN_ORDER and "SCAN" in plan):
        return f"{name}: all of it is read:\n{plan}"
    if re.search(r"\bSort\b|TEMP B-TREE", plan) and name not in SORTS_A_FEW:
        return f"{name}: it is sorted:\n{plan}"
    return ""


@pytest.mark.parametrize("analyzed", [False, True], ids=["as it is", "with statistics"])
async def test_no_list_is_read_whole_or_sorted(full: Ledger, analyzed: bool) -> None:
    if analyzed:
        await look_at_the_tables(full)
    found = [fault_of(name, plan) for name, read in LISTS.items() for plan in await plans(full, read)]
    assert len(found) > len(LISTS)
    assert not any(found), "\n".join(filter(None, found))


async def test_a_replay_has_what_was_told_to_one_and_to_all_in_order(full: Ledger) -> None:
    told = await full.events_since(USER, HISTORY // 2, limit=100)
    assert [event.seq for event in told] == list(range(HISTORY // 2 + 1, HISTORY // 2 + 101))
    assert {event.to for event in told} == {USER, None}
    assert await full.events_since(OTOMO, 0) == ()
