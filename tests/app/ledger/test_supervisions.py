"""Who supervises which live call: one of each admin in each call, noted with each change, gone with its call."""

from __future__ import annotations

from dataclasses import replace

from app.ledger import Ledger
from app.ledger.audit_log import AuditSearch, Entry
from app.ledger.supervisions import Supervision
from schemas.audit import AuditAction
from tests.app.ledger.ledger_samples import START, end, talking

MADE = Supervision(
    id="one",
    call_id="call",
    admin_id="root",
    mode="whisper",
    whispers_to="otomo",
    began_at_ms=START,
    token_until_ms=START + 1000,
    token_issued_ms=None,
)


def noted(action: AuditAction) -> Entry:
    return Entry(admin_id="root", action=action, at_ms=START, call_id="call")


async def actions(ledger: Ledger) -> list[str]:
    found = await ledger.audit_log.search(AuditSearch(call_id="call"), limit=50, cursor=None)
    return sorted(one.action for one in found.items)


async def test_an_admin_supervises_a_call_once_and_as_was_asked_for_last(ledger: Ledger) -> None:
    await ledger.supervisions.put(MADE, noted("supervision.start"))
    other = replace(MADE, id="other", admin_id="second", mode="listen", whispers_to=None, began_at_ms=START - 1)
    await ledger.supervisions.put(other, noted("supervision.start"))
    changed = replace(MADE, mode="barge", whispers_to=None, token_until_ms=None)
    await ledger.supervisions.put(changed, noted("supervision.change"))
    assert await ledger.supervisions.of_call("call") == (other, changed)
    assert await ledger.supervisions.of_call("another") == ()
    assert await actions(ledger) == ["supervision.change", "supervision.start", "supervision.start"]


async def test_it_ends_once(ledger: Ledger) -> None:
    await ledger.supervisions.put(MADE, noted("supervision.start"))
    for _ in range(2):
        await ledger.supervisions.remove(MADE.id, noted("supervision.end"))
    assert await ledger.supervisions.of_call("call") == ()
    assert await actions(ledger) == ["supervision.end", "supervision.start"]


async def test_those_of_calls_that_are_over_are_forgotten(ledger: Ledger) -> None:
    await talking(ledger)
    await ledger.supervisions.put(MADE, noted("supervision.start"))
    await ledger.supervisions.put(replace(MADE, id="x", call_id="never was"), noted("supervision.start"))
    assert await ledger.supervisions.forget_ended() == 1
    assert await ledger.supervisions.of_call("call") == (MADE,)
    await end(ledger)
    assert await ledger.supervisions.forget_ended() == 1
    assert await ledger.supervisions.of_call("call") == ()


def test_who_hears_the_admin_follows_from_the_mode() -> None:
    assert MADE.audience == {"otomo"}
    assert replace(MADE, mode="barge", whispers_to=None).audience == {"user", "otomo"}
    assert replace(MADE, mode="listen", whispers_to=None).audience == frozenset()
