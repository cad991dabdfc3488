from __future__ import annotations

import pytest

from app.ledger import Ledger
from app.ledger.steps import FIRST_EPOCH, Interruption, MediaMove, Talked
from app.ledger.values import Adopted, Call, Interrupted, Recovered, Recovery
from schemas.call import CallState
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    NODE,
    OTOMO,
    START,
    USER,
    charged,
    credit,
    end,
    interrupt,
    matched_call,
    move,
    move_media,
    new_call,
    open_call,
    prove,
    talking,
    unit,
)

LATER = CONNECTED + 3_600_000
WINDOW_MS = 20_000


async def stored(ledger: Ledger, call_id: str = "call") -> Call:
    call = await ledger.call(call_id)
    assert call is not None
    return call


async def test_a_talking_call_ends_at_its_last_proof(ledger: Ledger, elsewhere: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    charged(await ledger.charge_unit(unit(1)))
    await prove(ledger, talked_ms=95_900, at_ms=CONNECTED + 100_900)
    await prove(ledger, talked_ms=90_000, at_ms=CONNECTED + 90_000)
    await prove(ledger, "nowhere", talked_ms=1, at_ms=CONNECTED)
    recovery = await elsewhere.recover(now_ms=LATER)
    assert recovery.ended == (Recovered("call", NODE, LATER, CallState.TALKING, CONNECTED + 100_900, 95, 1, 100),)
    assert recovery.adopted == ()
    call = await stored(ledger)
    assert (call.state, call.end_reason) == (CallState.ENDED, "system_error")
    assert (call.ended_at_ms, call.duration_seconds, call.talked_ms) == (CONNECTED + 100_900, 95, 95_900)
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


async def test_a_charged_unit_proves_that_it_was_talked(ledger: Ledger, elsewhere: Ledger) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    await ledger.charge_units([unit(1), unit(2)])
    await prove(ledger, talked_ms=115_000, at_ms=CONNECTED + 115_000)
    [recovered] = (await elsewhere.recover(now_ms=LATER)).ended
    assert (recovered.ended_at_ms, recovered.duration_seconds, recovered.billed_units) == (CONNECTED + 120_000, 120, 2)
    assert await ledger.audit() == ()


async def test_a_call_that_never_connected_ends_now_and_lasted_nothing(ledger: Ledger, elsewhere: Ledger) -> None:
    await open_call(ledger, new_call("asked"))
    await open_call(ledger, matched_call("matched"))
    recovery = await elsewhere.recover(now_ms=START + 1, window_ms=WINDOW_MS)
    assert {(one.call_id, one.state, one.ended_at_ms, one.duration_seconds) for one in recovery.ended} == {
        ("asked", CallState.REQUESTING, START + 1, 0),
        ("matched", CallState.MATCHED, START + 1, 0),
    }
    assert recovery.adopted == ()
    await open_call(ledger, new_call("the parties are free again"))


async def test_recovery_does_its_work_once(ledger: Ledger, elsewhere: Ledger) -> None:
    for i in range(3):
        await talking(ledger, f"call-{i}")
    await end(ledger, "call-0", seconds=7)
    first = await elsewhere.recover(now_ms=LATER)
    seq = await ledger.latest_seq()
    assert [one.call_id for one in first.ended] == ["call-1", "call-2"]
    assert await elsewhere.recover(now_ms=LATER + 1) == Recovery()
    assert await ledger.latest_seq() == seq
    assert (await stored(ledger, "call-0")).end_reason == "manual"
    assert await ledger.open_calls() == ()
    await talking(ledger, "after")
    await elsewhere.recover(now_ms=LATER + 2)
    assert [line.call_id for line in await ledger.recovery_log()] == ["after", "call-2", "call-1"]
    assert (await ledger.recovery_log(limit=1))[0].recovered_at_ms == LATER + 2


async def test_a_node_takes_over_the_calls_of_others_and_leaves_its_own(ledger: Ledger, elsewhere: Ledger) -> None:
    await talking(ledger, "its own")
    await talking(elsewhere, "another's")
    assert [call.id for call in await ledger.open_calls()] == ["its own"]
    assert [one.call_id for one in (await ledger.recover(now_ms=LATER)).ended] == ["another's"]
    assert (await stored(elsewhere, "its own")).state is CallState.TALKING


async def test_proofs_of_life_are_for_connected_calls(ledger: Ledger) -> None:
    await open_call(ledger, matched_call("matched"))
    await talking(ledger, "ended")
    await end(ledger, "ended")
    for call_id in ("matched", "ended"):
        await prove(ledger, call_id, talked_ms=1, at_ms=LATER)
    await ledger.prove_alive({})
    assert (await stored(ledger, "matched")).proven_at_ms is None
    assert (await stored(ledger, "ended")).proven_at_ms == CONNECTED
    assert (await stored(ledger, "ended")).talked_ms == 0


async def test_a_newer_proof_is_the_one_with_more_talk_wherever_the_wall_clock_stands(ledger: Ledger) -> None:
    await talking(ledger)
    hour_ms = 3_600_000
    for talked_ms, at_ms in ((10_000, LATER), (12_000, LATER - hour_ms), (11_000, LATER)):
        await prove(ledger, talked_ms=talked_ms, at_ms=at_ms)
    call = await stored(ledger, "call")
    assert (call.talked_ms, call.proven_at_ms) == (12_000, LATER - hour_ms)


async def test_many_proofs_are_stored_at_once_each_with_its_clock(ledger: Ledger) -> None:
    calls = [f"call-{number}" for number in range(30)]
    for call_id in calls:
        await talking(ledger, call_id)
    proofs = {(call_id, FIRST_EPOCH): Talked(n, CONNECTED + 1000 + n) for n, call_id in enumerate(calls)}
    await ledger.prove_alive(proofs)
    found = [await stored(ledger, call_id) for call_id in calls]
    assert [(one.talked_ms, one.proven_at_ms) for one in found] == [(n, CONNECTED + 1000 + n) for n in range(30)]


@pytest.mark.parametrize(("before_ms", "goes_on"), [(0, True), (WINDOW_MS, True), (WINDOW_MS + 1, False)])
async def test_a_call_goes_on_that_was_proven_within_the_window(
    ledger: Ledger, elsewhere: Ledger, before_ms: int, goes_on: bool
) -> None:
    await talking(ledger)
    await prove(ledger, talked_ms=30_000, at_ms=LATER - before_ms)
    recovery = await elsewhere.recover(now_ms=LATER, window_ms=WINDOW_MS)
    assert ([one.call.id for one in recovery.adopted], [one.call_id for one in recovery.ended]) == (
        (["call"], []) if goes_on else ([], ["call"])
    )


async def test_a_call_that_talked_is_taken_over_interrupted_with_its_clock_and_its_units(
    ledger: Ledger, elsewhere: Ledger
) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    await ledger.charge_units([unit(1), unit(2)])
    proven_at_ms = CONNECTED + 130_000
    await prove(ledger, talked_ms=125_500, at_ms=proven_at_ms)
    recovery = await elsewhere.recover(now_ms=proven_at_ms + 3000, window_ms=WINDOW_MS)
    call = await stored(ledger)
    assert recovery == Recovery((), (Adopted(call, proven_at_ms, "node_lost", True, None),), ())
    assert (call.state, call.node, call.epoch) == (CallState.INTERRUPTED, elsewhere.node, FIRST_EPOCH)
    assert (call.talked_ms, call.proven_at_ms, call.billed_units) == (125_500, proven_at_ms, 2)
    assert await ledger.interruptions("call") == (Interrupted("node_lost", None, proven_at_ms),)
    step = (await ledger.timeline("call"))[-1]
    assert (step.state, step.cause, step.at_ms) == (CallState.INTERRUPTED, "restart", proven_at_ms)
    assert await ledger.recovery_log() == ()
    assert await elsewhere.recover(now_ms=proven_at_ms + 3000, window_ms=WINDOW_MS) == Recovery()
    third = charged(await elsewhere.charge_unit(unit(3)))
    assert (third.unit.index, third.already) == (3, False), "it is the next one, and the new owner's to charge"
    assert await ledger.audit() == ()


async def test_a_call_that_was_interrupted_stays_so_for_its_reason(ledger: Ledger, elsewhere: Ledger) -> None:
    await talking(ledger)
    since_ms = CONNECTED + 40_000
    await interrupt(ledger, at_ms=since_ms, talked_ms=40_000)
    before = await ledger.timeline("call")
    [adopted] = (await elsewhere.recover(now_ms=since_ms + 9000, window_ms=WINDOW_MS)).adopted
    assert (adopted.since_ms, adopted.reason, adopted.was_talking) == (since_ms, "no_rtp", False)
    assert await ledger.interruptions("call") == (Interrupted("no_rtp", "otomo", since_ms),)
    assert await ledger.timeline("call") == before


async def test_a_call_that_was_handed_over_says_so(ledger: Ledger, elsewhere: Ledger) -> None:
    await talking(ledger)
    since_ms = CONNECTED + 40_000
    await interrupt(ledger, at_ms=since_ms, talked_ms=40_000, interruption=Interruption("moved", None, since_ms))
    [adopted] = (await elsewhere.recover(now_ms=since_ms + 1000, window_ms=WINDOW_MS)).adopted
    assert (adopted.reason, adopted.was_talking) == ("moved", False)


async def test_an_interrupted_call_that_is_left_too_long_ends_and_so_does_its_interruption(
    ledger: Ledger, elsewhere: Ledger
) -> None:
    await talking(ledger)
    since_ms = CONNECTED + 40_000
    await interrupt(ledger, at_ms=since_ms, talked_ms=39_000)
    [ended] = (await elsewhere.recover(now_ms=LATER, window_ms=WINDOW_MS)).ended
    assert (ended.state, ended.ended_at_ms, ended.duration_seconds) == (CallState.INTERRUPTED, since_ms, 39)
    assert await ledger.interruptions("call") == (Interrupted("no_rtp", "otomo", since_ms, since_ms),)
    assert await ledger.audit() == ()


async def test_whose_worker_died_before_is_told_when_its_last_one_did(ledger: Ledger, elsewhere: Ledger) -> None:
    for call_id in ("twice", "never", "moved"):
        await talking(ledger, call_id)
    for epoch, reason in ((1, "worker_died"), (2, "worker_died"), (3, "node_lost")):
        await move_media(ledger, "twice", epoch=epoch, reason=reason, at_ms=CONNECTED + 1000 * epoch)
    await move_media(ledger, "moved", reason="node_lost", at_ms=CONNECTED + 1000)
    found = await elsewhere.recover(now_ms=CONNECTED + 5000, window_ms=WINDOW_MS)
    died = {one.call.id: one.worker_died_at_ms for one in found.adopted}
    assert died == {"twice": CONNECTED + 2000, "never": None, "moved": None}


async def test_a_taken_over_call_gets_the_next_room_and_goes_on(ledger: Ledger, elsewhere: Ledger) -> None:
    await talking(ledger)
    await prove(ledger, talked_ms=30_000, at_ms=CONNECTED + 30_000)
    await elsewhere.recover(now_ms=CONNECTED + 31_000, window_ms=WINDOW_MS)
    moved = await elsewhere.move_media(
        MediaMove(call_id="call", epoch=FIRST_EPOCH, worker=1, reason="node_lost", at_ms=CONNECTED + 32_000)
    )
    assert moved.call.epoch == FIRST_EPOCH + 1
    assert [
        (one.epoch, one.node, one.worker, one.talked_before_ms, one.reason) for one in await ledger.segments("call")
    ] == [
        (1, NODE, 0, 0, None),
        (2, elsewhere.node, 1, 30_000, "node_lost"),
    ]
    resumed = await move(elsewhere, "call", CallState.TALKING, epoch=2, at_ms=CONNECTED + 34_000)
    assert (resumed.call.state, resumed.call.connected_at_ms) == (CallState.TALKING, CONNECTED)
    assert await ledger.interruptions("call") == (
        Interrupted("node_lost", None, CONNECTED + 30_000, CONNECTED + 34_000),
    )
    assert await ledger.audit() == ()
