"""A call is changed by the node that has it, for the room that it is in: another's change stores nothing and tells
nothing. Each write is tried by a node that lost the call, and by the one that has it for a room that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Table, select

from app.ledger import Ledger
from app.ledger.errors import CallExists, Fenced
from app.ledger.steps import FIRST_EPOCH, DeferredStep, DeferredSteps
from app.ledger.tables import metadata
from app.ledger.values import NewEvent, UnitDue, UnitFenced
from schemas.call import CallState
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    OTOMO,
    USER,
    charged,
    credit,
    end_call,
    interrupt,
    matched_call,
    move,
    move_media,
    open_call,
    prove,
    talking,
    unit,
)

LATER = CONNECTED + 70_000
LOST = NewEvent("lost", b"{}", USER, "call")

Write = Callable[[Ledger, int], Awaitable[Any]]
"""Something that a node does to the call, which it thinks to be in that room."""


async def refused(work: Awaitable[Any]) -> None:
    with pytest.raises(Fenced):
        await work


async def interrupts(ledger: Ledger, epoch: int) -> None:
    await refused(interrupt(ledger, at_ms=LATER, talked_ms=65_000, epoch=epoch, events=[LOST]))


async def resumes(ledger: Ledger, epoch: int) -> None:
    await refused(move(ledger, "call", CallState.TALKING, at_ms=LATER, epoch=epoch, events=[LOST]))


async def moves_media(ledger: Ledger, epoch: int) -> None:
    await refused(move_media(ledger, epoch=epoch, worker=7, at_ms=LATER, events=[LOST]))


async def ends(ledger: Ledger, epoch: int) -> None:
    ending = {"reason": "manual", "ended_at_ms": LATER, "duration_seconds": 70, "epoch": epoch, "events": [LOST]}
    await refused(end_call(ledger, "call", **ending))


async def charges(ledger: Ledger, epoch: int) -> None:
    due = UnitDue("call", epoch, 1, LATER, 60_000)
    assert await ledger.charge_unit(due) == UnitFenced("call")
    assert await ledger.charge_units([due, due]) == [UnitFenced("call")] * 2


async def proves(ledger: Ledger, epoch: int) -> None:
    await prove(ledger, talked_ms=65_000, at_ms=LATER, epoch=epoch)


async def defers(ledger: Ledger, epoch: int) -> None:
    step = DeferredStep("call", epoch, CallState.ENDING, "a step that comes late", LATER)
    assert await ledger.store_deferred(DeferredSteps((step,), (), LATER)) == ()


async def brings_a_deferred_step(ledger: Ledger, epoch: int) -> None:
    """With a change of its own: neither is stored."""
    step = DeferredStep("call", epoch, CallState.ENDING, "a step that comes late", LATER)
    await refused(move(ledger, "call", CallState.TALKING, at_ms=LATER, epoch=epoch, deferred=step))
    await refused(
        end_call(ledger, "call", reason="any", ended_at_ms=LATER, duration_seconds=0, epoch=epoch, deferred=step)
    )


async def opens_it_again(ledger: Ledger, _: int) -> None:
    with pytest.raises(CallExists):
        await open_call(ledger, matched_call(), [LOST])


WRITES = [
    interrupts,
    resumes,
    moves_media,
    ends,
    charges,
    proves,
    defers,
    brings_a_deferred_step,
    opens_it_again,
]


async def everything(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""

    def rows_of(table: Table) -> Any:
        return lambda tx: [tuple(row) for row in tx.execute(select(table).order_by(*table.primary_key.columns))]

    return {name: await ledger._database.read(rows_of(table)) for name, table in metadata.tables.items()}


async def changes_nothing(ledger: Ledger, write: Write, by: Ledger, epoch: int) -> None:
    before = await everything(ledger)
    await write(by, epoch)
    assert await everything(ledger) == before


async def taken_over(ledger: Ledger, elsewhere: Ledger) -> None:
    """A call that talked, with points for ten units; another node has it now, in no room yet."""
    await credit(ledger, 1000)
    await talking(ledger)
    await prove(ledger, talked_ms=62_000, at_ms=CONNECTED + 62_000)
    [adopted] = (await elsewhere.recover(now_ms=CONNECTED + 63_000, window_ms=20_000)).adopted
    assert adopted.call.node == elsewhere.node


@pytest.mark.parametrize("write", WRITES)
async def test_a_node_that_lost_a_call_changes_nothing_of_it(ledger: Ledger, elsewhere: Ledger, write: Write) -> None:
    await taken_over(ledger, elsewhere)
    await changes_nothing(elsewhere, write, ledger, FIRST_EPOCH)
    await move_media(elsewhere, reason="node_lost", at_ms=CONNECTED + 64_000)
    for epoch in (FIRST_EPOCH, FIRST_EPOCH + 1, FIRST_EPOCH + 2):
        await changes_nothing(elsewhere, write, ledger, epoch)


@pytest.mark.parametrize("write", [write for write in WRITES if write is not moves_media])
async def test_what_is_about_a_room_that_is_gone_changes_nothing(ledger: Ledger, write: Write) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    await interrupt(ledger, at_ms=CONNECTED + 62_000, talked_ms=62_000)
    await move_media(ledger, at_ms=CONNECTED + 63_000)
    for epoch in (FIRST_EPOCH, FIRST_EPOCH + 2):
        await changes_nothing(ledger, write, ledger, epoch)


async def test_a_room_that_is_two_moves_old_is_not_moved_from(ledger: Ledger) -> None:
    await talking(ledger)
    for epoch in (1, 2):
        await move_media(ledger, epoch=epoch, at_ms=CONNECTED + epoch)
    for epoch in (1, 4):
        await changes_nothing(ledger, moves_media, ledger, epoch)


async def test_a_move_of_the_media_that_is_tried_again_is_found_and_told_once(ledger: Ledger) -> None:
    await talking(ledger)
    told = [NewEvent("media_moved", b"{}", one, "call") for one in (USER, OTOMO)]
    first = await move_media(ledger, at_ms=CONNECTED + 1, events=told)
    before = await everything(ledger)
    again = await move_media(ledger, at_ms=CONNECTED + 1, events=told)
    assert (again.call, again.events) == (first.call, ())
    assert await everything(ledger) == before
    assert [event.type for event in first.events] == ["media_moved"] * 2


@pytest.mark.parametrize("write", [write for write in WRITES if write not in (ends, brings_a_deferred_step)])
async def test_a_node_whose_call_a_start_has_ended_changes_nothing_of_it(
    ledger: Ledger, elsewhere: Ledger, write: Write
) -> None:
    await credit(ledger, 1000)
    await talking(ledger)
    assert len((await elsewhere.recover(now_ms=LATER)).ended) == 1
    assert (await ledger.call("call")).node == elsewhere.node
    await changes_nothing(elsewhere, write, ledger, FIRST_EPOCH)
    assert await ledger.append_events([LOST], at_ms=LATER) == ()
    late = await end_call(ledger, "call", reason="manual", ended_at_ms=LATER, duration_seconds=70, events=[LOST])
    assert (late.already, late.call.end_reason) == (True, "system_error")


async def test_nothing_is_told_of_a_call_after_its_end_and_it_gets_no_other_room(ledger: Ledger) -> None:
    await talking(ledger)
    await end_call(ledger, "call", reason="manual", ended_at_ms=LATER, duration_seconds=70, events=[LOST])
    await changes_nothing(ledger, moves_media, ledger, FIRST_EPOCH)
    assert await ledger.append_events([LOST], at_ms=LATER) == ()
    assert [event.type for event in await ledger.tail(0)] == ["lost", "call_end", "call_end"]


async def test_what_is_told_in_one_commit_with_the_end_comes_before_it_or_not_at_all(ledger: Ledger) -> None:
    for number in range(8):
        await talking(ledger, f"call-{number}")
    told = [NewEvent("note", b"{}", USER, f"call-{number}") for number in range(8)]
    await asyncio.gather(
        ledger.append_events(told, at_ms=LATER),
        *(end_call(ledger, f"call-{n}", reason="manual", ended_at_ms=LATER, duration_seconds=70) for n in range(8)),
        ledger.append_events(told, at_ms=LATER),
    )
    for number in range(8):
        types = [event.type for event in await ledger.tail(0) if event.call_id == f"call-{number}"]
        assert types[-2:] == ["call_end", "call_end"]


async def test_what_a_node_tells_of_a_call_that_it_lost_is_left_out_and_the_rest_is_told(
    ledger: Ledger, elsewhere: Ledger
) -> None:
    await taken_over(ledger, elsewhere)
    seq = await ledger.latest_seq()
    own, nobodys = NewEvent("own", b"{}", USER, "own"), NewEvent("nobodys", b"{}", USER)
    await talking(ledger, "own", "somebody")
    stored = await ledger.append_events([LOST, own, LOST, nobodys], at_ms=LATER)
    assert [event.type for event in stored] == ["own", "nobodys"]
    assert [event.type for event in await ledger.tail(seq)] == ["own", "nobodys"]
    assert [event.type for event in await elsewhere.append_events([LOST], at_ms=LATER)] == ["lost"]


async def test_a_refused_change_spoils_none_that_is_stored_with_it(ledger: Ledger, elsewhere: Ledger) -> None:
    await taken_over(ledger, elsewhere)
    await talking(ledger, "own", "somebody")
    results = await asyncio.gather(
        move(ledger, "call", CallState.TALKING, at_ms=LATER, events=[LOST]),
        interrupt(ledger, "own", at_ms=LATER, talked_ms=65_000),
        end_call(ledger, "call", reason="manual", ended_at_ms=LATER, duration_seconds=70),
        open_call(ledger, matched_call("new")),
        return_exceptions=True,
    )
    assert [isinstance(result, Fenced) for result in results] == [True, False, True, False]
    assert not any(isinstance(result, BaseException) for result in results[1::2])
    assert [event.type for event in await ledger.tail(0)] == ["wallet_update"]
    assert await ledger.audit() == ()


async def test_a_fenced_unit_spoils_none_that_is_charged_with_it(ledger: Ledger, elsewhere: Ledger) -> None:
    await taken_over(ledger, elsewhere)
    await talking(ledger, "own", "user")
    results = await ledger.charge_units([unit(1), unit(1, "own"), unit(2)])
    assert (results[0], results[2]) == (UnitFenced("call"), UnitFenced("call"))
    assert charged(results[1]).unit.balance_after == 900
    assert (await ledger.billing("call")).units == ()
    assert await ledger.audit() == ()


async def test_of_two_nodes_that_take_over_at_once_each_call_is_one_nodes(ledger: Ledger, elsewhere: Ledger, url: str):
    calls = {f"call-{number}" for number in range(12)}
    for call_id in calls:
        await talking(ledger, call_id)
    async with Ledger.open(url) as third:
        takers = (elsewhere, third)
        await asyncio.gather(*(one.recover(now_ms=CONNECTED, window_ms=20_000) for one in takers))
        owners = [call.node for call_id in calls if (call := await ledger.call(call_id))]
        assert len(set(owners)) == 1
        last = next(one for one in takers if one.node == owners[0])
        first = next(one for one in takers if one is not last)
        for call_id in calls:
            assert len(await ledger.interruptions(call_id)) == 1
            await refused(move(first, call_id, CallState.TALKING, at_ms=CONNECTED + 1))
            await move(last, call_id, CallState.TALKING, at_ms=CONNECTED + 1)
        assert await ledger.audit() == ()


async def test_of_a_late_end_and_a_take_over_one_wins(ledger: Ledger, elsewhere: Ledger) -> None:
    """They race for the same rows: a call has one end and no interruption after it, or it goes on there."""
    calls = [f"call-{number}" for number in range(20)]
    for call_id in calls:
        await talking(ledger, call_id)
    ends = (end_call(ledger, one, reason="manual", ended_at_ms=CONNECTED, duration_seconds=0) for one in calls)
    taking = elsewhere.recover(now_ms=CONNECTED, window_ms=20_000)
    found, *results = await asyncio.gather(taking, *ends, return_exceptions=True)
    adopted = {one.call.id for one in found.adopted}
    for call_id, result in zip(calls, results, strict=True):
        assert isinstance(result, Fenced) == (call_id in adopted), result
        state = (await ledger.call(call_id)).state
        assert state is (CallState.INTERRUPTED if call_id in adopted else CallState.ENDED)
    assert await ledger.audit() == ()
