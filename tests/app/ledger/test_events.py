from __future__ import annotations

import asyncio

from app.ledger import Ledger
from app.ledger.values import Event, NewEvent
from app.person import Person
from schemas.base import encode
from schemas.signaling import NodeDraining
from tests.app.ledger.ledger_samples import OTOMO, START, USER


async def test_a_user_is_replayed_what_was_told_to_them_and_to_all(ledger: Ledger) -> None:
    stored = await ledger.append_events(
        [
            NewEvent("producer_added", b'{"kind":"audio"}', USER, "call"),
            NewEvent("producer_added", b'{"kind":"audio"}', OTOMO, "call"),
            NewEvent("otomo_status", b'{"status":"busy"}'),
        ],
        at_ms=START,
    )
    assert stored[0] == Event(1, "producer_added", b'{"kind":"audio"}', USER, "call", START)
    assert await ledger.events_since(USER, 0) == (stored[0], stored[2])
    assert await ledger.events_since(USER, 1) == (stored[2],)
    assert await ledger.events_since(OTOMO, 0) == (stored[1],)
    assert await ledger.events_since(USER, 0, limit=1) == (stored[0],)
    assert await ledger.events_since(USER, 3) == ()
    assert await ledger.tail(1) == stored[1:]
    assert await ledger.tail(0, limit=2) == stored[:2]
    assert await ledger.append_events([], at_ms=START) == ()


async def test_a_number_is_not_used_again_after_pruning(ledger: Ledger) -> None:
    await ledger.append_events([NewEvent("old", b"{}", USER)] * 3, at_ms=START)
    await ledger.append_events([NewEvent("new", b"{}", USER)], at_ms=START + 10)
    assert await ledger.prune_events(before_ms=START + 10) == 3
    assert [event.type for event in await ledger.events_since(USER, 0)] == ["new"]
    assert await ledger.prune_events(before_ms=START + 11) == 1
    assert await ledger.latest_seq() == 4
    [event] = await ledger.append_events([NewEvent("newer", b"{}", USER)], at_ms=START)
    assert event.seq == 5


async def test_who_sees_an_event_could_have_seen_every_smaller_one(ledger: Ledger, other: Ledger) -> None:
    writers, each = 12, 8
    reading = True
    reads: list[list[int]] = []

    async def write(writer: int) -> None:
        for turn in range(each):
            mine = [NewEvent("event", b"%d" % writer, Person("user", f"user-{writer % 3}"))] * (turn % 3 + 1)
            await (ledger, other)[writer % 2].append_events(mine, at_ms=START)

    async def read(reader: Ledger) -> None:
        while reading:
            reads.append([event.seq for event in await reader.tail(0)])

    readers = [asyncio.create_task(read(reader)) for reader in (ledger, other)]
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    reading = False
    await asyncio.gather(*readers)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in reads)
    assert len({len(seqs) for seqs in reads}) > 2
    assert await ledger.latest_seq() == writers * (1 + 2 + 3 + 1 + 2 + 3 + 1 + 2)


async def test_payloads_come_back_as_they_went_in(ledger: Ledger) -> None:
    """To the byte: what was written once is never read and written again."""
    payload = '{"text": "電話 ☎ \\u0000 \\ud83d", "b":2, "a":[1,  2.50, null], "big":9007199254740992}'.encode()
    [event] = await ledger.append_events([NewEvent("event", payload, USER)], at_ms=START)
    assert (await ledger.events_since(USER, 0))[0].payload == payload == event.payload


async def test_a_payload_is_written_once_for_all_who_are_told(ledger: Ledger) -> None:
    draining = NodeDraining(call_id="call", deadline_at=None)
    events = NewEvent.to_each((USER, OTOMO), draining, "call")
    assert [(event.type, event.to) for event in events] == [("node_draining", USER), ("node_draining", OTOMO)]
    assert events[0].payload is events[1].payload
    assert await ledger.append_events(events, at_ms=START) == await ledger.tail(0)
    assert await ledger.events_since(OTOMO, 0) == (Event(2, "node_draining", encode(draining), OTOMO, "call", START),)
