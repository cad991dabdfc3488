"""What a page costs at any length of history, as JSON: milliseconds for each list, with few calls and with many.

One user and one otomo have all the calls; a page is read at the front, in the middle and near the end. Each call costs
four units, over a year: what points did by day is read for its last month and for all of it. Runs on new SQLite files
in a temporary folder, or on the empty database whose URL is given. Run as ``python -m bench.lists [URL]``.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from app.ledger import Ledger
from app.ledger.paging import write_cursor
from app.ledger.values import LIVE_STATES, CallSearch
from app.person import Person

FEW, MANY = 1_000, 300_000  # calls
LIVE_EVERY = 1_000  # one of so many calls is live
ROUNDS = 30
DAYS = 366
USER, OTOMO = Person("user", "user"), Person("otomo", "otomo")
CALLS = """
    INSERT INTO calls (id, user_id, otomo_id, state, "exclusive", node, price_per_minute, created_at_ms, ended_at_ms,
        end_reason, billed_units, billed_points)
    {numbers}
    SELECT 'call ' || i, 'user', 'otomo', CASE WHEN i % {live} = 0 THEN 'talking' ELSE 'ended' END, FALSE, 'main', 0, i,
        CASE WHEN i % {live} > 0 THEN i END,
        CASE WHEN i % {live} > 0 THEN CASE WHEN i % 7 > 0 THEN 'manual' ELSE 'timeout' END END, 0,
        CASE WHEN i % 100 = 1 THEN 1 ELSE 0 END FROM numbers
"""
METADATA = """
    INSERT INTO call_metadata (key, value, created_at_ms, call_id)
    {numbers}
    SELECT CASE WHEN i % 2 = 0 THEN 'shop' ELSE 'order' END, CASE WHEN i % 2 = 0 THEN 'one' ELSE 'no ' || i END, i,
        'call ' || i FROM numbers
"""
WALLET = "INSERT INTO wallets (user_id, balance, updated_at_ms) VALUES ('user', 0, 0)"
LINES = """
    INSERT INTO point_transactions (user_id, amount, reason, call_id, unit_index, balance_after, at_ms)
    {numbers}
    SELECT 'user', -100, 'unit', 'call ' || i, unit, 0, i * CAST({days} AS BIGINT) * 86400000 / {calls}
    FROM numbers, (SELECT 1 AS unit UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) units
"""
EVENTS = """
    INSERT INTO events (seq, role, user_id, type, payload, at_ms)
    {numbers}
    SELECT i, CASE WHEN i % 2 = 0 THEN 'user' END, CASE WHEN i % 2 = 0 THEN 'user' END, 'bench', '{{}}', i FROM numbers
"""
NUMBERS = "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {calls})"


def fill(tx: Connection, calls: int) -> None:
    for words in (CALLS, METADATA, WALLET, LINES, EVENTS):
        numbers = NUMBERS.format(calls=calls)
        tx.execute(text(words.format(numbers=numbers, calls=calls, live=LIVE_EVERY, days=DAYS)))
    tx.execute(text("UPDATE event_counter SET last_seq = (SELECT max(seq) FROM events)"))


async def read_ms(read: Callable[[], Awaitable[Any]]) -> float:
    """The median of some reads."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await read()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def lists(ledger: Ledger, calls: int) -> dict[str, Callable[[], Awaitable[Any]]]:
    middle, end = (write_cursor(place, f"call {place}") for place in (calls // 2, 60))
    return {
        "userFirstPage": lambda: ledger.calls_of(USER),
        "userMiddlePage": lambda: ledger.calls_of(USER, cursor=middle),
        "userLastPage": lambda: ledger.calls_of(USER, cursor=end),
        "otomoMiddlePage": lambda: ledger.calls_of(OTOMO, cursor=middle),
        "everybodysMiddlePage": lambda: ledger.calls_of(cursor=middle),
        "liveCalls": lambda: ledger.calls_of(states=LIVE_STATES),
        "endedSoMiddlePage": lambda: ledger.search_calls(CallSearch(end_reason="timeout"), cursor=middle),
        "ofSomeTime": lambda: ledger.search_calls(CallSearch(from_ms=calls // 3, to_ms=calls // 2)),
        "usersOfSomeTime": lambda: ledger.search_calls(CallSearch(user_id="user", to_ms=calls // 2)),
        "withCommonText": lambda: ledger.search_calls(CallSearch(metadata={"shop": "one"}), cursor=middle),
        "withRareText": lambda: ledger.search_calls(CallSearch(metadata={"order": "no 501"})),
        "statementMiddlePage": lambda: ledger.usage("user", cursor=middle),
        "pointsOf30Days": lambda: ledger.points_by_day(DAYS - 30, 30),
        "pointsOfAYear": lambda: ledger.points_by_day(0, DAYS),
        "replayPage": lambda: ledger.events_since(USER, 0, limit=200),
        "recoveryLog": lambda: ledger.recovery_log(),
    }


async def measure(url: str, calls: int) -> dict[str, float]:
    async with Ledger.open(url, timeout_s=120) as ledger:
        await ledger._database.write(fill, calls)
        return {name: await read_ms(read) for name, read in lists(ledger, calls).items()}


async def main() -> None:
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=".") as name:
        for calls in (MANY,) if len(sys.argv) > 1 else (FEW, MANY):
            url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(name).resolve()}/{calls}.sqlite"
            for what, ms in (await measure(url, calls)).items():
                found.setdefault(what, {})[f"of{calls}Ms"] = round(ms, 2)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
