from __future__ import annotations

import asyncio

import pytest
from msgspec import json

from app.ledger import Ledger
from app.ledger.errors import BadCursor, CallExists, PartyBusy, StaleState, UnknownCall, Unstorable
from app.ledger.values import Call, CallSearch, NewEvent, Transition
from app.person import Person
from schemas.base import encode
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
    end_call,
    matched_call,
    move,
    new_call,
    open_call,
    talking,
    unit,
)

NOTE = encode({"callId": "call", "note": "もしもし\0"})
FORWARD = [CallState.RINGING, CallState.MATCHED, CallState.CONNECTING, CallState.TALKING]


async def test_a_call_is_stored_as_it_was_given(ledger: Ledger) -> None:
    opened = await open_call(
        ledger,
        new_call(states=(CallState.REQUESTING, CallState.RINGING), cause="POST /calls"),
        [NewEvent("incoming_call", NOTE, OTOMO, "call")],
    )
    assert opened.call == Call("call", "user", "otomo", CallState.RINGING, True, NODE, 100, START)
    assert await ledger.call("call") == opened.call
    assert await ledger.timeline("call") == (
        Transition(CallState.REQUESTING, "POST /calls", START),
        Transition(CallState.RINGING, "POST /calls", START),
    )
    assert await ledger.events_since(OTOMO, 0) == opened.events
    assert opened.events[0].payload == NOTE
    assert await ledger.call("another") is None
    assert await ledger.timeline("another") == ()


async def test_a_call_id_is_taken_once_however_many_ask(ledger: Ledger, other: Ledger) -> None:
    tries = [open_call(each, matched_call("one", f"user-{i}")) for i in range(8) for each in (ledger, other)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, CallExists) for result in results) == len(tries) - 1
    assert len((await ledger.calls_of()).items) == 1


async def test_of_many_callers_at_once_one_gets_the_otomo(ledger: Ledger, other: Ledger) -> None:
    tries = [
        open_call(each, new_call(f"{i}-{j}", f"user-{i}-{j}"))
        for i in range(6)
        for j, each in enumerate((ledger, other))
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    [won] = [result for result in results if not isinstance(result, BaseException)]
    lost = [result for result in results if isinstance(result, PartyBusy)]
    assert len(lost) == len(tries) - 1
    assert {(busy.party, busy.user_id, busy.call_id) for busy in lost} == {("otomo", "otomo", won.call.id)}


async def test_a_caller_is_in_one_call_at_a_time_and_free_after_its_end(ledger: Ledger) -> None:
    await open_call(ledger, new_call("first"))
    with pytest.raises(PartyBusy) as busy:
        await open_call(ledger, new_call("second", otomo_id="another"))
    assert (busy.value.party, busy.value.user_id, busy.value.call_id) == ("user", "user", "first")
    await end(ledger, "first")
    await open_call(ledger, new_call("second", otomo_id="another"))


async def test_calls_that_another_system_matched_do_not_keep_anybody_busy(ledger: Ledger) -> None:
    for i in range(3):
        await open_call(ledger, matched_call(f"matched-{i}"))
    await open_call(ledger, new_call("asked-for"))
    await open_call(ledger, matched_call("matched-later"))
    assert len(await ledger.open_calls()) == 5


@pytest.mark.parametrize("states", [(), (CallState.CONNECTING,), (CallState.RINGING, CallState.ENDED)])
async def test_a_call_begins_at_its_beginning(ledger: Ledger, states: tuple[CallState, ...]) -> None:
    with pytest.raises(ValueError, match="begins"):
        await open_call(ledger, new_call(states=states))


async def test_a_call_moves_forward_and_its_times_are_set(ledger: Ledger) -> None:
    await open_call(ledger, new_call())
    for second, state in enumerate(FORWARD, 1):
        moved = await move(ledger, "call", state, cause=f"to {state}", at_ms=START + second * 1000)
        assert moved.call == await ledger.call("call")
    assert (moved.call.accepted_at_ms, moved.call.connected_at_ms) == (START + 2000, START + 4000)
    assert moved.call.proven_at_ms == START + 4000
    assert [step.state for step in await ledger.timeline("call")] == [CallState.REQUESTING, *FORWARD]
    assert (await ledger.timeline("call"))[2] == Transition(CallState.MATCHED, "to matched", START + 2000)


@pytest.mark.parametrize("state", FORWARD[:3])
async def test_a_call_never_moves_back(ledger: Ledger, state: CallState) -> None:
    await open_call(ledger, new_call())
    await move(ledger, "call", CallState.CONNECTING, cause="transport", at_ms=START)
    with pytest.raises(StaleState) as stale:
        await move(ledger, "call", state, cause="too late", at_ms=START, events=[NewEvent("late", b"{}", USER)])
    assert stale.value.state is CallState.CONNECTING
    assert len(await ledger.timeline("call")) == 2
    assert await ledger.latest_seq() == 0


async def test_of_many_who_accept_one_succeeds(ledger: Ledger, other: Ledger) -> None:
    await open_call(ledger, new_call())
    event = [NewEvent("call_accepted", b"{}", USER, "call")]
    tries = [
        move(each, "call", CallState.MATCHED, cause="accept", at_ms=START, events=event) for each in (ledger, other) * 5
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, StaleState) for result in results) == len(tries) - 1
    assert len(await ledger.events_since(USER, 0)) == 1


async def test_only_end_call_ends_a_call(ledger: Ledger) -> None:
    await open_call(ledger, new_call())
    for state in (CallState.ENDING, CallState.ENDED):
        with pytest.raises(ValueError, match="end_call"):
            await move(ledger, "call", state, cause="", at_ms=START)


async def test_what_is_not_there_can_not_move_or_end(ledger: Ledger) -> None:
    with pytest.raises(UnknownCall):
        await move(ledger, "call", CallState.MATCHED, cause="", at_ms=START)
    with pytest.raises(UnknownCall):
        await end(ledger)


@pytest.mark.parametrize("state", [CallState.REQUESTING, *FORWARD])
async def test_a_call_ends_from_any_state(ledger: Ledger, state: CallState) -> None:
    await open_call(ledger, new_call())
    if state is not CallState.REQUESTING:
        await move(ledger, "call", state, cause="", at_ms=START)
    ended = await end_call(
        ledger,
        "call",
        reason="timeout",
        cause="ring timer",
        ended_at_ms=START + 30_000,
        duration_seconds=0,
        events=[NewEvent("call_cancelled", b"{}", OTOMO, "call")],
    )
    assert not ended.already
    assert ended.call == await ledger.call("call")
    assert (ended.call.end_reason, ended.call.ended_at_ms, ended.call.duration_seconds) == (
        "timeout",
        START + 30_000,
        0,
    )
    assert [(event.type, event.to) for event in ended.events] == [
        ("call_cancelled", OTOMO),
        ("call_end", USER),
        ("call_end", OTOMO),
    ]
    assert [(step.state, step.cause) for step in (await ledger.timeline("call"))[-2:]] == [
        (CallState.ENDING, "ring timer"),
        (CallState.ENDED, "ring timer"),
    ]


async def test_both_parties_are_told_the_end_with_its_totals(ledger: Ledger) -> None:
    await credit(ledger, 250)
    await talking(ledger)
    for index in (1, 2, 3):
        charged(await ledger.charge_unit(unit(index)))
    ended = await end_call(ledger, "call", reason="low_balance", ended_at_ms=CONNECTED + 180_042, duration_seconds=180)
    assert (ended.call.billed_units, ended.call.billed_points) == (3, 250)
    assert [event.to for event in ended.events] == [USER, OTOMO]
    assert {event.type for event in ended.events} == {"call_end"}
    for event in ended.events:
        assert json.decode(event.payload) == {
            "callId": "call",
            "userId": "user",
            "otomoId": "otomo",
            "endedAt": "2027-01-15T08:03:05.042Z",
            "reason": "low_balance",
            "durationSeconds": 180,
            "totalChargedPoints": 250,
        }


async def test_a_call_ends_once_however_many_end_it(ledger: Ledger, other: Ledger) -> None:
    await talking(ledger)
    tries = [
        end_call(each, "call", reason=f"reason {i}", ended_at_ms=CONNECTED + i, duration_seconds=i)
        for i in range(6)
        for each in (ledger, other)
    ]
    results = await asyncio.gather(*tries)
    assert sum(not result.already for result in results) == 1
    assert len({result.call for result in results}) == 1
    assert len({tuple(event.seq for event in result.events) for result in results}) == 1
    assert await ledger.latest_seq() == 2
    assert [step.state for step in await ledger.timeline("call")][-2:] == [CallState.ENDING, CallState.ENDED]
    with pytest.raises(StaleState):
        await move(ledger, "call", CallState.TALKING, cause="too late", at_ms=START)


@pytest.mark.parametrize("bad", ["nul\0", "half \ud83d"])
async def test_both_databases_refuse_ids_that_one_can_not_hold(ledger: Ledger, bad: str) -> None:
    with pytest.raises(Unstorable):
        await open_call(ledger, new_call(bad))
    with pytest.raises(Unstorable):
        await open_call(ledger, new_call(otomo_id=bad))
    with pytest.raises(Unstorable):
        await ledger.call(bad)
    with pytest.raises(Unstorable):
        await ledger.balance(bad)


async def test_words_that_can_not_be_stored_do_not_keep_a_call_from_ending(ledger: Ledger) -> None:
    await open_call(ledger, new_call())
    ended = await end_call(ledger, "call", reason="さよなら\0\ud83d", ended_at_ms=START, duration_seconds=0)
    assert await ledger.call("call") == ended.call
    assert {json.decode(event.payload)["reason"] for event in ended.events} == {"さよなら\ufffd?"}


async def test_pages_neither_repeat_nor_miss_a_call_while_new_ones_come(ledger: Ledger) -> None:
    for i in range(7):  # the times repeat, so that the id has to decide
        await open_call(ledger, matched_call(f"call-{i}", created_at_ms=START + i // 3))
    seen: list[str] = []
    cursor: str | None = None
    for page_number in range(10):
        page = await ledger.calls_of(USER, limit=2, cursor=cursor)
        seen += [call.id for call in page.items]
        await open_call(ledger, matched_call(f"newer-{page_number}", created_at_ms=START + 100))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"call-{i}" for i in (6, 5, 4, 3, 2, 1, 0)]


async def test_what_is_kept_with_a_call_stays_with_it(ledger: Ledger) -> None:
    kept = {"order": "17", "名": "\U0001f431 \0\ud83d"}
    opened = await open_call(ledger, new_call(metadata=kept))
    assert opened.call.metadata == kept
    stored = await ledger.call("call")
    assert stored is not None
    assert stored.metadata == {"order": "17", "名": "\U0001f431 \ufffd?"}
    ended = await end_call(ledger, "call", reason="manual", ended_at_ms=START, duration_seconds=0)
    assert ended.call.metadata == stored.metadata
    [found] = (await ledger.search_calls(CallSearch(metadata=kept))).items
    assert found == ended.call
    assert (await ledger.search_calls(CallSearch(metadata={"order": "1"}))).items == ()


async def test_calls_are_listed_by_party_and_state(ledger: Ledger) -> None:
    await talking(ledger, "talking", "anna")
    await open_call(ledger, matched_call("matched", "bert", "anna"))
    await open_call(ledger, matched_call("foreign", "cora"))
    await end(ledger, "talking")
    anna = Person("user", "anna")
    assert [call.id for call in (await ledger.calls_of(anna)).items] == ["talking"]
    assert [call.id for call in (await ledger.calls_of(Person("otomo", "anna"))).items] == ["matched"]
    assert [call.id for call in (await ledger.calls_of(anna, states=[CallState.ENDED])).items] == ["talking"]
    assert (await ledger.calls_of(anna, states=[CallState.MATCHED])).items == ()
    live = await ledger.calls_of(states=[CallState.MATCHED, CallState.TALKING])
    assert {call.id for call in live.items} == {"matched", "foreign"}
    assert (await ledger.calls_of(Person("user", "nobody"))).items == ()


@pytest.mark.parametrize("cursor", ["", "x", "こ", "AAAA", "MTIz", "LTEuYQ", "YS5i", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuYQ"])
async def test_a_cursor_that_is_none_of_ours_is_refused(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await ledger.calls_of(cursor=cursor)
    with pytest.raises(BadCursor):
        await ledger.usage("user", cursor=cursor)
