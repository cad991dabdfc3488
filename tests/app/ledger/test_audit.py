from __future__ import annotations

import pytest
from sqlalchemy import CursorResult, text

from app.ledger import Ledger
from tests.app.ledger.ledger_samples import charged, credit, talking, unit

DAMAGES = {
    "UPDATE wallets SET balance = balance + 1": "wallet user: balance 801, booked 800",
    "UPDATE point_transactions SET balance_after = 1 WHERE unit_index = 1": "transaction 2 of user: leaves 1, not 900",
    "UPDATE call_units SET unit_index = 5 WHERE unit_index = 2": "call call: says 2 units for 200 points, has 2 up",
    "UPDATE calls SET billed_points = 199": "call call: says 2 units for 199 points, has 2 up to 2 for 200",
    "UPDATE calls SET billed_units = 3": "call call: says 3 units for 200 points",
    "UPDATE call_units SET points = 99 WHERE unit_index = 1": "unit 1 of call: 99 points, booked -100",
    "DELETE FROM point_transactions WHERE unit_index = 2": "unit 2 of call: 100 points, booked 0",
    "DELETE FROM call_units WHERE unit_index = 2": "unit 2 of call: booked, but not stored",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_audit_names_what_does_not_add_up(ledger: Ledger, damage: str) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    for index in (1, 2):
        charged(await ledger.charge_unit(unit(index)))
    assert await ledger.audit() == ()
    changed: CursorResult[None] = await ledger._database.write(lambda tx: tx.execute(text(damage)))
    assert changed.rowcount == 1
    assert any(found.startswith(DAMAGES[damage]) for found in await ledger.audit())


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE wallets SET balance = -1",
        "UPDATE calls SET state = 'asleep'",
        "UPDATE calls SET state = 'ended'",
        "UPDATE call_units SET points = -1",
        "INSERT INTO call_transitions (id, call_id, state, cause, at_ms) VALUES (99, 'call', 'matched', 'again', 1)",
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
