from __future__ import annotations

import pytest
from sqlalchemy import CursorResult, text

from app.ledger import Ledger
from app.ledger.values import Record
from schemas.call import CallState, EndedBy
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    charged,
    credit,
    end,
    end_call,
    interrupt,
    move,
    move_media,
    new_call,
    open_call,
    talking,
    unit,
)

LATER = CONNECTED + 3_600_000

DAMAGES = {
    "UPDATE wallets SET balance = balance + 1": "wallet user: balance 801, booked 800",
    "UPDATE point_transactions SET balance_after = 1 WHERE unit_index = 1": "transaction 2 of user: leaves 1, not 900",
    "UPDATE call_units SET unit_index = 5 WHERE unit_index = 2": "call call: says 2 units for 200 points, has 2 up",
    "UPDATE calls SET billed_points = 199": "call call: says 2 units for 199 points, has 2 up to 2 for 200",
    "UPDATE calls SET billed_units = 3": "call call: says 3 units for 200 points",
    "UPDATE call_units SET points = 99 WHERE unit_index = 1": "unit 1 of call: 99 points, booked -100",
    "DELETE FROM point_transactions WHERE unit_index = 2": "unit 2 of call: 100 points, booked 0",
    "DELETE FROM call_units WHERE unit_index = 2": "unit 2 of call: booked, but not stored",
    "DELETE FROM call_segments WHERE epoch = 2": "call call: is in room 3, has had 2 up to 3",
    "UPDATE calls SET epoch = 4": "call call: is in room 4, has had 3 up to 3",
    "UPDATE call_segments SET talked_before_ms = 121000 WHERE epoch = 2": "call call: talked 121000 ms before room 2",
    "DELETE FROM call_interruptions WHERE id = 2": "call call: is interrupted, and has 0 open interruptions",
    "UPDATE call_interruptions SET until_ms = NULL WHERE id = 1": "call call: is interrupted, and has 2 open",
    "UPDATE calls SET talked_ms = 89999": "call call: talked 90000 ms before room 3, 89999 after it",
}
DAMAGES_OF_THE_ENDED = {
    "UPDATE call_interruptions SET until_ms = NULL WHERE id = 1": "call call: is ended, and has 1 open interruptions",
    "UPDATE calls SET talked_ms = 119999": "call call: 2 units of 60 s in 119999 ms",
    "UPDATE call_records SET unit_seconds = 61": "call call: 2 units of 61 s in 120000 ms",
}


async def lived(ledger: Ledger) -> None:
    """A call of two units in three rooms, of which one was lost while it talked, and one while it was interrupted."""
    await credit(ledger, 1000)
    await talking(ledger)
    for index in (1, 2):
        charged(await ledger.charge_unit(unit(index)))
    await ledger._database.write(lambda tx: tx.execute(text("UPDATE calls SET talked_ms = 60000")))
    await interrupt(ledger, at_ms=CONNECTED + 70_000, talked_ms=60_000)
    await move_media(ledger, epoch=1, at_ms=CONNECTED + 71_000)
    await move(ledger, "call", CallState.TALKING, epoch=2, at_ms=CONNECTED + 72_000)
    await interrupt(ledger, at_ms=CONNECTED + 102_000, talked_ms=90_000, epoch=2)
    await move_media(ledger, epoch=2, at_ms=CONNECTED + 103_000)


async def damaged(ledger: Ledger, damage: str) -> tuple[str, ...]:
    assert await ledger.audit() == ()
    changed: CursorResult[None] = await ledger._database.write(lambda tx: tx.execute(text(damage)))
    assert changed.rowcount == 1
    return await ledger.audit()


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_audit_names_what_does_not_add_up(ledger: Ledger, damage: str) -> None:
    await lived(ledger)
    assert any(found.startswith(DAMAGES[damage]) for found in await damaged(ledger, damage))


@pytest.mark.parametrize("damage", DAMAGES_OF_THE_ENDED)
async def test_an_audit_names_what_is_wrong_with_an_ended_call(ledger: Ledger, damage: str) -> None:
    await lived(ledger)
    record = Record(EndedBy.USER, 60.0, worker=1)
    await end_call(ledger, "call", reason="manual", ended_at_ms=LATER, duration_seconds=120, epoch=3, record=record)
    assert DAMAGES_OF_THE_ENDED[damage] in await damaged(ledger, damage)


async def test_a_call_without_a_room_needs_none(ledger: Ledger) -> None:
    await open_call(ledger, new_call())
    assert await ledger.audit() == ()
    await end(ledger)
    assert await ledger.audit() == ()


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE wallets SET balance = -1",
        "UPDATE calls SET state = 'asleep'",
        "UPDATE calls SET state = 'ended'",
        "UPDATE call_units SET points = -1",
        "INSERT INTO call_segments VALUES ('call', 1, 'main', 0, 1, 0, NULL)",
        "INSERT INTO call_segments VALUES ('call', 2, 'main', 0, 1, 0, NULL)",
        "INSERT INTO call_segments VALUES ('nowhere', 2, 'main', 0, 1, 0, 'worker_died')",
        "INSERT INTO call_interruptions (id, call_id, reason, since_ms, until_ms) VALUES (9, 'call', 'no_rtp', 2, 1)",
        "INSERT INTO call_interruptions (id, call_id, reason, since_ms) VALUES (9, 'nowhere', 'no_rtp', 2)",
        "UPDATE calls SET epoch = 0",
        "UPDATE calls SET talked_ms = -1",
        "INSERT INTO call_transitions (id, call_id, state, cause, at_ms) VALUES (99, 'nowhere', 'matched', 'x', 1)",
        "INSERT INTO event_counter (id, last_seq) VALUES (2, 0)",
    ],
)
async def test_the_database_itself_refuses_what_may_never_be(ledger: Ledger, forbidden: str) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    charged(await ledger.charge_unit(unit(1)))
    with pytest.raises(Exception, match=r"(?i)constraint"):
        await ledger._database.write(lambda tx: tx.execute(text(forbidden)))
