"""Two nodes' journals on one database: each tells what both have stored, in order, and nothing twice."""

from __future__ import annotations

import asyncio

from msgspec import json

from app.calls.journal import Journal
from app.ledger import Ledger
from app.ledger.values import Event, NewEvent
from tests.app.ledger.ledger_samples import START, USER

WRITERS, EACH = 8, 30


async def test_two_journals_tell_everything_once_and_in_order(ledger: Ledger, other: Ledger) -> None:
    heard: tuple[list[Event], list[Event]] = ([], [])
    journals = [Journal(one, told.extend, 0) for one, told in zip((ledger, other), heard, strict=True)]

    async def write(writer: int) -> None:
        for turn in range(EACH):
            await journals[writer % 2].adjust(f"user-{writer}", 1, reason="gift", idempotency_key=f"{writer}.{turn}")

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    for turn, journal in enumerate(journals):
        await journal.adjust("last", 1, reason="gift", idempotency_key=f"last {turn}")
    stored = WRITERS * EACH + 2
    assert [event.seq for event in heard[1]] == list(range(1, stored + 1))
    assert [event.seq for event in heard[0]] == list(range(1, stored))
    assert heard[0] == heard[1][: len(heard[0])]


async def test_journals_go_on_while_what_they_tell_is_pruned(ledger: Ledger, other: Ledger) -> None:
    heard: list[Event] = []
    journal = Journal(ledger, heard.extend, 0)

    async def write_elsewhere() -> None:
        for _ in range(EACH):
            await other.append_events([NewEvent("elsewhere", b"{}", USER)] * 7, at_ms=START)
            await other.prune_events(before_ms=START + 1)

    async def write() -> None:
        for turn in range(EACH):
            await journal.adjust("user", 1, reason="gift", idempotency_key=f"{turn}")

    await asyncio.gather(write_elsewhere(), write())
    numbers = [event.seq for event in heard]
    assert numbers == sorted(set(numbers))
    balances = [json.decode(event.payload)["balance"] for event in heard if event.type == "wallet_update"]
    assert balances == list(range(1, EACH + 1))
