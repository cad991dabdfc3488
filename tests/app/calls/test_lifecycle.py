"""A call ends once, whatever races and whatever the database does meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import json

from app.calls import call_events
from app.calls import lifecycle as lifecycle_module
from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.timers import CallTimers
from app.clock import now, shifted
from app.errors import InvalidCallState
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import NewCall
from app.person import Person
from app.tariffs import Terms
from schemas.call import CallState
from tests.app.conftest import PRICE, Desk, ended, prove_alive
from tests.app.ledger.ledger_samples import open_call

IMPATIENT_S = 0.4  # the ledger's timeout, where a test has the database locked


async def ringing(desk: Desk, call_id: str = "call") -> LiveCall:
    call = LiveCall(call_id, "user", "otomo", Terms.by_unit(PRICE), now(), state=CallState.RINGING)
    desk.registry.add(call)
    states = (CallState.REQUESTING, CallState.RINGING)
    new = NewCall(call.id, "user", "otomo", PRICE, call.created_at.utc_ms, states, "request")
    await open_call(desk.journal, new)
    return call


async def test_of_many_reasons_at_once_one_counts(desk):
    for number in range(30):
        call = await desk.talking(f"call-{number}")
        reasons = [EndReason.MANUAL, EndReason.ADMIN, EndReason.RTP_STOPPED, EndReason.WORKER_DIED]
        reasons = reasons[number % 4 :] + reasons[: number % 4]
        tasks = [desk.lifecycle.end_soon(call, CallEvent.FAIL, reason, f"because {reason}") for reason in reasons]
        assert [task is not None for task in tasks] == [True, False, False, False]
        await ended(call)
        assert (await desk.ledger.call(call.id)).end_reason == reasons[0]
        told = [json.decode(event.payload)["reason"] for event in desk.audience.events if event.call_id == call.id]
        assert told == [reasons[0], reasons[0]], "one call_end to each party"
    assert len(desk.registry) == 0


async def test_of_two_who_hang_up_one_succeeds(desk):
    for number in range(30):
        call = await desk.talking(f"call-{number}")
        outcomes = await asyncio.gather(
            desk.lifecycle.end(call, CallEvent.HANG_UP, EndReason.MANUAL, "the user"),
            desk.lifecycle.end(call, CallEvent.FAIL, EndReason.ADMIN, "an admin"),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes].count(InvalidCallState) == 1
        assert call.state is CallState.ENDED


async def test_an_end_is_on_the_timeline_with_its_cause_and_time(desk):
    call = await desk.talking(ago_s=75.0)
    at = shifted(now(), now().monotonic - 3.0)
    desk.lifecycle.end_soon(call, CallEvent.FAIL, EndReason.WORKER_DIED, "its worker died", at=at)
    await ended(call)
    timeline = await desk.ledger.timeline(call.id)
    assert [step.state for step in timeline] == ["matched", "talking", "ending", "ended"]
    assert {(step.cause, step.at_ms) for step in timeline[2:]} == {("its worker died", at.utc_ms)}
    stored = await desk.ledger.call(call.id)
    assert (stored.ended_at_ms, stored.duration_seconds) == (at.utc_ms, 72)


async def test_a_call_that_was_never_connected_has_lasted_no_second(desk):
    call = await ringing(desk)
    await desk.lifecycle.end(call, CallEvent.CANCEL, EndReason.CANCELLED, "the user")
    stored = await desk.ledger.call(call.id)
    assert (stored.duration_seconds, stored.connected_at_ms, stored.billed_units) == (0, None, 0)


async def test_what_an_end_tells_comes_before_the_end_itself(desk):
    call = await ringing(desk)
    told = call_events.answered("call_rejected", call, now(), "busy")
    await desk.lifecycle.end(call, CallEvent.REJECT, EndReason.REJECTED, "busy", events=told)
    assert desk.audience.types(Person("user", "user")) == ["call_rejected", "call_end"]
    assert desk.audience.types(Person("otomo", "otomo")) == ["call_rejected", "call_end"]


async def test_nobody_answers_and_the_call_times_out(desk, monkeypatch):
    monkeypatch.setattr(desk.lifecycle, "_timers", CallTimers(ring_s=0.05))
    call = await ringing(desk)
    desk.lifecycle.ring(call)
    await ended(call)
    [end] = desk.audience.payloads("call_end", Person("user", "user"))
    assert end["reason"] == "timeout"
    timeline = await desk.ledger.timeline(call.id)
    assert timeline[-1].cause == "nobody answered"


async def test_an_end_stops_the_timer(desk):
    call = await ringing(desk)
    desk.lifecycle.ring(call)
    timer = call.timer
    await desk.lifecycle.end(call, CallEvent.CANCEL, EndReason.CANCELLED, "the user")
    assert timer.cancelled()
    assert call.timer is None


async def test_an_end_that_cannot_be_stored_yet_is_refused_as_such_and_stored_later(desk_with, monkeypatch):
    monkeypatch.setattr(lifecycle_module, "END_WITHIN_S", IMPATIENT_S / 2)
    async with desk_with(timeout_s=IMPATIENT_S) as desk:
        call = await desk.talking()
        with desk.locked():
            with pytest.raises(LedgerUnavailable):
                await desk.lifecycle.end(call, CallEvent.HANG_UP, EndReason.MANUAL, "the user")
            assert call.state is CallState.ENDING
            with pytest.raises(InvalidCallState):
                await desk.lifecycle.end(call, CallEvent.HANG_UP, EndReason.MANUAL, "the user again")
            assert desk.audience.payloads("call_end") == []
            assert call.id in desk.registry, "its parties are busy until the end is stored"
        await ended(call)
        assert call.id not in desk.registry
        assert [end["reason"] for end in desk.audience.payloads("call_end")] == ["manual", "manual"]


async def test_an_end_whose_commit_was_cut_off_is_told_once(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S) as desk:
        call = await desk.talking()
        async with desk.stalled_commit():
            task = desk.lifecycle.end_soon(call, CallEvent.FAIL, EndReason.ADMIN, "test")
            await asyncio.wait([task], timeout=1.5 * IMPATIENT_S)
            assert desk.audience.events == []
        await ended(call)
        assert desk.audience.types() == ["call_end", "call_end"]


async def test_the_units_that_wait_are_stored_before_the_end(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S, runs=False) as desk:
        call = await desk.talking()
        await desk.give(call.user_id, 1000)
        desk.meter.follow(call)
        with desk.locked():
            for minute in (1, 2):
                at = shifted(call.connected_at, call.connected_at.monotonic + 60 * minute)
                prove_alive(call, at.monotonic)
                desk.meter._collect(at)
            desk.lifecycle.end_for(call, EndReason.ADMIN, "test")
        await ended(call)
        told = [event for event in desk.audience.types(call.parties.user) if event != "wallet_update"]
        assert told == ["call_tick", "call_tick", "call_end"]
        assert desk.audience.payloads("call_end")[0]["totalChargedPoints"] == 2 * PRICE


async def test_a_node_that_stops_ends_all_its_calls(desk):
    calls = [await desk.talking(f"call-{number}") for number in range(10)] + [await ringing(desk)]
    await desk.lifecycle.close(5.0)
    assert len(desk.registry) == 0
    for call in calls:
        stored = await desk.ledger.call(call.id)
        assert (stored.state, stored.end_reason) == (CallState.ENDED, "system_error")
    assert desk.audience.types().count("call_end") == 2 * len(calls)


async def test_what_a_stopping_node_cannot_store_is_left_for_the_next_start(desk_with):
    async with desk_with(timeout_s=IMPATIENT_S) as desk:
        call = await desk.talking()
        with desk.locked():
            await desk.lifecycle.close(IMPATIENT_S)
        assert [left.id for left in await desk.ledger.open_calls()] == [call.id]
        assert desk.audience.payloads("call_end") == []
        async with Ledger.open(f"sqlite:///{desk.path}") as next_start:
            recovery = await next_start.recover(now_ms=now().utc_ms)
        assert [line.call_id for line in recovery.ended] == [call.id]
        desk.registry.remove(call)
