"""The record of a finished call: stored with its end, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, insert

from app.ledger import Ledger
from app.ledger.errors import UnknownCall
from app.ledger.tables import call_records
from app.ledger.values import Record
from schemas.call import EndedBy
from schemas.quality import FlagLine, FlagType, ProtocolLine, QualityLine
from tests.app.ledger.ledger_samples import CONNECTED, end, end_call, matched_call, open_call, talking

RECORD = Record(
    ended_by=EndedBy.OTOMO,
    unit_seconds=0.5,
    worker=3,
    mos=4.25,
    quality=(QualityLine(speaker="user", speaker_role="user", listener="otomo", mos=4.25),),
    flags=(FlagLine(FlagType.DEAD_MICROPHONE, "もしもし", "otomo", "2027-01-15T08:00:00.000Z", None),),
    transports=(ProtocolLine("user", "user", "udp"),),
)


async def end_with(ledger: Ledger, record: Record, call_id: str = "call") -> bool:
    ended = await end_call(ledger, call_id, reason="manual", ended_at_ms=CONNECTED, duration_seconds=0, record=record)
    return not ended.already


async def test_it_comes_back_as_it_was_given(ledger: Ledger) -> None:
    await talking(ledger)
    assert await ledger.record("call") is None
    assert await end_with(ledger, RECORD)
    assert await ledger.record("call") == RECORD


def store_old_record(tx: Connection) -> None:
    """As releases did whose lines had no roles."""
    row = {"call_id": "call", "ended_by": "otomo", "unit_seconds": 0.5, "worker": 3, "mos": 4.25}
    quality = b'[{"from": "user", "to": "otomo", "mos": 4.25}]'
    flags = '[{"type": "dead_microphone", "userId": "もしもし", "since": "2027-01-15T08:00:00.000Z", "until": null}]'
    transports = b'[{"userId": "user", "protocol": "udp"}]'
    lists = {"quality": quality, "flags": flags.encode(), "transports": transports}
    tx.execute(insert(call_records).values(row | lists))


async def test_an_old_record_is_told_the_roles_of_its_lines(ledger: Ledger) -> None:
    await talking(ledger)
    await ledger._database.write(store_old_record)
    assert await ledger.record("call") == RECORD


async def test_a_call_that_never_had_a_room_has_a_short_one(ledger: Ledger) -> None:
    await open_call(ledger, matched_call())
    await end_with(ledger, Record(EndedBy.NODE, 60.0))
    assert await ledger.record("call") == Record(EndedBy.NODE, 60.0)


async def test_the_first_end_decides(ledger: Ledger, other: Ledger) -> None:
    await talking(ledger)
    records = [Record(EndedBy.USER, 60.0, worker=index) for index in range(8)]
    first = await asyncio.gather(*(end_with(each, one) for one, each in zip(records, (ledger, other) * 4, strict=True)))
    kept = await ledger.record("call")
    assert [one for one, won in zip(records, first, strict=True) if won] == [kept]


async def test_ends_that_are_stored_together_keep_one_each(ledger: Ledger) -> None:
    names = [f"call-{index}" for index in range(12)]
    for name in names:
        await open_call(ledger, matched_call(name))
    await asyncio.gather(*(end_with(ledger, Record(EndedBy.ADMIN, 60.0, int(name[5:])), name) for name in names))
    assert [(await ledger.record(name)).worker for name in names] == list(range(12))


async def test_nothing_is_kept_of_a_call_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(UnknownCall):
        await end_with(ledger, RECORD)
    assert await ledger.record("call") is None


async def test_a_restart_has_none_to_keep(ledger: Ledger, elsewhere: Ledger) -> None:
    await talking(elsewhere)
    await ledger.recover(now_ms=CONNECTED + 1000)
    assert await ledger.record("call") is None
    assert not await end_with(ledger, RECORD), "it has ended, and is past being added to"
    assert await ledger.record("call") is None


async def test_an_end_needs_none(ledger: Ledger) -> None:
    await talking(ledger)
    await end(ledger)
    assert await ledger.record("call") is None
