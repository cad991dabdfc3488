"""What admins did: written with what it tells of, found by whatever is asked, kept for a time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.ledger import Ledger
from app.ledger import audit_log as module
from app.ledger.audit_log import AuditSearch, Entry
from app.ledger.errors import BadCursor, BalanceTooLow, RefundTooHigh
from app.ledger.values import RefundAsked
from app.person import Person
from tests.app.ledger.ledger_samples import START, charged, credit, talking, unit

ALL = AuditSearch()


def entry(at_ms: int = START, *, admin_id: str = "root", details: Mapping[str, str] | None = None) -> Entry:
    return Entry(admin_id=admin_id, action="call.end", at_ms=at_ms, call_id="call", details=details or {})


async def found(ledger: Ledger, search: AuditSearch = ALL) -> list[Entry]:
    return list((await ledger.audit_log.search(search, limit=50, cursor=None)).items)


async def test_a_line_is_read_as_it_was_written(ledger: Ledger) -> None:
    line = Entry(
        admin_id="根",
        action="person.ban",
        at_ms=START,
        person=Person("otomo", "hana"),
        reason="迷惑\0",
        details={"until": "2027-01-31T12:00:00.000Z"},
    )
    await ledger.audit_log.note(line)
    [read] = await found(ledger)
    assert read.reason == "迷惑\ufffd"
    assert (read.id, read.person, read.details, read.call_id) == (line.id, line.person, line.details, None)


async def test_all_that_is_asked_must_hold(ledger: Ledger) -> None:
    lines = [entry(START), entry(START + 1, admin_id="other"), entry(START + 2)]
    for line in lines:
        await ledger.audit_log.note(line)
    first, second, third = lines
    assert await found(ledger) == [third, second, first]
    assert await found(ledger, AuditSearch(admin_id="root")) == [third, first]
    assert await found(ledger, AuditSearch(admin_id="root", from_ms=START + 1)) == [third]
    assert await found(ledger, AuditSearch(from_ms=START + 1, to_ms=START + 2)) == [second]
    assert await found(ledger, AuditSearch(call_id="call", action="call.end")) == [third, second, first]
    assert await found(ledger, AuditSearch(call_id="another")) == []
    assert await found(ledger, AuditSearch(action="node.drain")) == []


async def test_it_is_read_in_pages(ledger: Ledger) -> None:
    lines = [entry(START) for _ in range(5)]
    for line in lines:
        await ledger.audit_log.note(line)
    read, cursor = list[Entry](), None
    while not read or cursor is not None:
        page = await ledger.audit_log.search(ALL, limit=2, cursor=cursor)
        read += page.items
        cursor = page.next_cursor
    assert sorted(one.id for one in read) == sorted(one.id for one in lines)
    with pytest.raises(BadCursor):
        await ledger.audit_log.search(ALL, limit=2, cursor="none of ours")


async def test_what_is_given_or_taken_is_noted_with_it_and_once(ledger: Ledger) -> None:
    given = Entry(admin_id="root", action="wallet.adjust", at_ms=START, person=Person("user", "user"))
    for _ in range(2):
        again = Entry(admin_id="root", action="wallet.adjust", at_ms=START, person=given.person, id=given.id)
        await ledger.adjust("user", 500, reason="gift", idempotency_key="one", at_ms=START, noted=again)
    assert await found(ledger) == [given]
    with pytest.raises(BalanceTooLow):
        await ledger.adjust("user", -501, reason="typo", idempotency_key="two", at_ms=START, noted=entry())
    assert await found(ledger) == [given]


async def test_a_refund_is_noted_where_it_is_made(ledger: Ledger) -> None:
    await credit(ledger, 500)
    await talking(ledger)
    charged(await ledger.charge_unit(unit(1)))
    noted = Entry(admin_id="root", action="call.refund", at_ms=START, call_id="call")
    with pytest.raises(RefundTooHigh):
        await ledger.refund(RefundAsked("call", 501, None, "noise", "a"), at_ms=START, noted=noted)
    assert await found(ledger) == []
    for _ in range(2):
        await ledger.refund(RefundAsked("call", 100, None, "noise", "b"), at_ms=START, noted=noted)
    assert await found(ledger) == [noted]


async def test_old_lines_are_forgotten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    lines = [entry(START + number) for number in range(6)]
    for line in lines:
        await ledger.audit_log.note(line)
    assert await ledger.audit_log.prune(before_ms=START + 5) == 5
    assert await found(ledger) == lines[5:]
    assert await ledger.audit_log.prune(before_ms=START + 5) == 0
