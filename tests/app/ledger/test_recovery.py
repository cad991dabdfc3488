from __future__ import annotations

from app.ledger import Ledger
from app.ledger.values import Call, Recovered, Recovery
from schemas.call import CallState
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    OTOMO,
    START,
    USER,
    charged,
    credit,
    end,
    matched_call,
    new_call,
    open_call,
    talking,
    unit,
)

LATER = CONNECTED + 3_600_000


async def stored(ledger: Ledger, call_id: str = "call") -> Call:
    call = await ledger.call(call_id)
    assert call is not None
    return call


async def test_a_talking_call_ends_at_its_last_proven_rtp(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    charged(await ledger.charge_unit(unit(1)))
    await ledger.prove_alive({"call": CONNECTED + 100_900})
    await ledger.prove_alive({"call": CONNECTED + 90_000, "nowhere": CONNECTED})
    recovery = await ledger.recover(now_ms=LATER)
    assert recovery.calls == (Recovered("call", "main", LATER, CallState.TALKING, CONNECTED + 100_900, 100, 1, 100),)
    call = await stored(ledger)
    assert (call.state, call.end_reason) == (CallState.ENDED, "system_error")
    assert (call.ended_at_ms, call.duration_seconds) == (CONNECTED + 100_900, 100)
    assert (call.billed_units, call.billed_points) == (1, 100)
    assert [(step.state, step.cause) for step in await ledger.timeline("call")][-2:] == [
        (CallState.ENDING, "restart"),
        (CallState.ENDED, "restart"),
    ]
    assert [(event.type, event.to, event.at_ms) for event in recovery.events] == [
        ("call_end", USER, LATER),
        ("call_end", OTOMO, LATER),
    ]
    assert await ledger.audit() == ()


async def test_a_charged_unit_proves_that_it_was_lived(ledger: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    await ledger.charge_units([unit(1), unit(2)])
    await ledger.prove_alive({"call": CONNECTED + 115_000})
    [recovered] = (await ledger.recover(now_ms=LATER)).calls
    assert (recovered.ended_at_ms, recovered.duration_seconds, recovered.billed_units) == (CONNECTED + 120_000, 120, 2)


async def test_a_call_that_never_connected_ends_now_and_lasted_nothing(ledger: Ledger) -> None:
    await open_call(ledger, new_call("asked"))
    await open_call(ledger, matched_call("matched"))
    recovery = await ledger.recover(now_ms=LATER)
    assert {(one.call_id, one.state, one.ended_at_ms, one.duration_seconds) for one in recovery.calls} == {
        ("asked", CallState.REQUESTING, LATER, 0),
        ("matched", CallState.MATCHED, LATER, 0),
    }
    await open_call(ledger, new_call("the parties are free again"))


async def test_recovery_does_its_work_once(ledger: Ledger) -> None:
    for i in range(3):
        await talking(ledger, f"call-{i}")
    await end(ledger, "call-0", seconds=7)
    first = await ledger.recover(now_ms=LATER)
    seq = await ledger.latest_seq()
    assert [one.call_id for one in first.calls] == ["call-1", "call-2"]
    assert await ledger.recover(now_ms=LATER + 1) == Recovery((), ())
    assert await ledger.latest_seq() == seq
    assert (await stored(ledger, "call-0")).end_reason == "manual"
    assert await ledger.open_calls() == ()
    await talking(ledger, "after")
    await ledger.recover(now_ms=LATER + 2)
    assert [line.call_id for line in await ledger.recovery_log()] == ["after", "call-2", "call-1"]
    assert (await ledger.recovery_log(limit=1))[0].recovered_at_ms == LATER + 2


async def test_a_node_recovers_its_own_calls_only(url: str) -> None:
    async with Ledger.open(url, node="east") as east, Ledger.open(url, node="west") as west:
        await talking(east, "eastern")
        await talking(west, "western")
        assert [call.id for call in await east.open_calls()] == ["eastern"]
        assert [one.call_id for one in (await east.recover(now_ms=LATER)).calls] == ["eastern"]
        assert (await stored(west, "western")).state is CallState.TALKING


async def test_proofs_of_life_are_for_talking_calls(ledger: Ledger) -> None:
    await open_call(ledger, matched_call("matched"))
    await talking(ledger, "ended")
    await end(ledger, "ended")
    await ledger.prove_alive({"matched": START + 1, "ended": LATER})
    await ledger.prove_alive({})
    assert (await stored(ledger, "matched")).last_rtp_at_ms is None
    assert (await stored(ledger, "ended")).last_rtp_at_ms == CONNECTED
