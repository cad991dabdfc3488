"""What back ends are told is stored with what it tells of, in one transaction, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import json
from sqlalchemy import event

from app.calls import call_events
from app.calls.call import Interruption, LiveCall
from app.clock import Moment
from app.ledger import Ledger
from app.ledger.call_bodies import detail_fields_of
from app.ledger.errors import KeyReused, StaleState
from app.ledger.steps import DeferredSteps
from app.ledger.values import Record
from app.person import Person
from app.tariffs import End, Terms
from schemas.base import dump
from schemas.call import CallDetail, CallState, EndedBy
from schemas.types import iso
from tests.app.ledger.ledger_samples import (
    CONNECTED,
    START,
    charged,
    credit,
    end_call,
    interrupt,
    matched_call,
    move,
    new_call,
    open_call,
    talking,
    unit,
)
from tests.app.ledger.webhook_samples import EVERYTHING, add_endpoint, data, stored, types

GAP = Interruption("no_rtp", "otomo", Moment(0.0, CONNECTED + 70_000), Moment(0.0, 0), Moment(0.0, CONNECTED + 90_000))


def live_call(call_id: str = "call") -> LiveCall:
    return LiveCall(call_id, "user", "otomo", Terms.by_unit(100), Moment(0.0, START))


async def a_whole_call(ledger: Ledger) -> None:
    """Rings, is accepted, talks for two units with a gap, and ends."""
    call, at = live_call(), Moment(0.0, CONNECTED)
    ringing = new_call(states=(CallState.REQUESTING, CallState.RINGING), metadata={"order": "17"})
    await open_call(ledger, ringing, [call_events.incoming_call(call, 30.0)])
    accepted = call_events.answered("call_accepted", call, at)
    await move(ledger, "call", CallState.MATCHED, at_ms=CONNECTED - 1000, events=accepted)
    await move(ledger, "call", CallState.TALKING, at_ms=CONNECTED, events=call_events.connected(call, at))
    charged(await ledger.charge_unit(unit(1)))
    away = call_events.interrupted(call, GAP)
    await interrupt(ledger, at_ms=CONNECTED + 70_000, talked_ms=70_000, events=away)
    back = call_events.resumed(call, GAP, Moment(5.0, CONNECTED + 75_000))
    await move(ledger, "call", CallState.TALKING, at_ms=CONNECTED + 75_000, events=back)
    charged(await ledger.charge_unit(unit(2)))
    soon = call_events.ending(call, End(180.0, "low_balance", missing=50), 60.0, Moment(0.0, CONNECTED + 185_000))
    await ledger.append_events(soon, at_ms=CONNECTED + 125_000)
    await end_call(
        ledger,
        "call",
        reason="manual",
        ended_at_ms=CONNECTED + 130_000,
        duration_seconds=125,
        record=Record(EndedBy.USER, 60.0),
    )


async def test_a_call_is_told_step_by_step(ledger: Ledger) -> None:
    await add_endpoint(ledger, types=EVERYTHING)
    await credit(ledger, 250)
    await a_whole_call(ledger)
    assert await types(ledger) == [
        *("wallet.adjusted", "call.ringing", "call.accepted", "call.connected", "call.charged"),
        *("call.interrupted", "call.resumed", "call.charged", "wallet.low", "call.ending", "call.ended"),
    ]
    about = {"callId": "call", "userId": "user", "otomoId": "otomo", "metadata": {"order": "17"}}
    at = {"createdAt": iso(START), "expiresAt": iso(START + 30_000), "pricePerMinute": 100}
    assert await data(ledger, "call.ringing") == [about | at]
    assert await data(ledger, "call.accepted") == [about | {"acceptedAt": iso(CONNECTED)}]
    assert await data(ledger, "call.connected") == [about | {"connectedAt": iso(CONNECTED)}]
    away = {"away": "otomo", "reason": "no_rtp", "since": iso(CONNECTED + 70_000), "until": iso(CONNECTED + 90_000)}
    assert await data(ledger, "call.interrupted") == [about | away]
    assert await data(ledger, "call.resumed") == [about | {"interruptedSeconds": 5}]
    soon = {"reason": "low_balance", "secondsLeft": 60, "at": iso(CONNECTED + 185_000), "pointsNeeded": 50}
    assert await data(ledger, "call.ending") == [about | soon]
    first, second = await data(ledger, "call.charged")
    assert first == about | {
        "index": 1,
        "points": 100,
        "totalPoints": 100,
        "durationSeconds": 60,
        "balance": 150,
        "status": "ok",
        "chargedAt": iso(CONNECTED + 60_000),
    }
    assert (second["index"], second["balance"], second["status"]) == (2, 50, "low_balance")
    low = {"userId": "user", "balance": 50, "threshold": 100, "callId": "call"}
    assert await data(ledger, "wallet.low") == [low]


async def test_an_end_is_told_with_the_whole_record(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 250)
    await a_whole_call(ledger)
    call = await ledger.call("call")
    assert call is not None
    read = CallDetail(**detail_fields_of(await ledger.details(call), 0))
    [told] = await data(ledger, "call.ended")
    assert told == dump(read)
    assert (told["state"], told["endedBy"], told["billedPoints"], told["interruptedSeconds"]) == (
        "ended",
        "user",
        200,
        5,
    )
    assert [entry["type"] for entry in told["timeline"]][-3:] == ["unit", "ending", "ended"]
    message = json.decode((await stored(ledger))[-1].body)
    assert (message["type"], message["timestamp"]) == ("call.ended", iso(CONNECTED + 130_000))


async def test_what_is_told_only_on_request_is_not_told_without(ledger: Ledger) -> None:
    await add_endpoint(ledger, "default")
    await add_endpoint(ledger, "some", types=("call.charged", "call.ended"))
    await credit(ledger, 1000)
    await a_whole_call(ledger)
    assert "call.charged" not in await types(ledger, "default")
    assert await types(ledger, "some") == ["call.charged", "call.charged", "call.ended"]
    ids = {one.id for name in ("default", "some") for one in await stored(ledger, name)}
    assert len(ids) == len(await stored(ledger, "default")) + 3, "each delivery has an id of its own"


@pytest.mark.parametrize("reason", ["timeout", "rejected", "cancelled"])
async def test_a_call_that_nobody_accepted_was_missed(ledger: Ledger, reason: str) -> None:
    await add_endpoint(ledger)
    await open_call(ledger, new_call(states=(CallState.REQUESTING, CallState.RINGING)))
    await end_call(ledger, "call", reason=reason, ended_at_ms=START + 1000, duration_seconds=0)
    assert await types(ledger) == ["call.missed", "call.ended"]
    [missed] = await data(ledger, "call.missed")
    assert (missed["callId"], missed["reason"], missed["endedAt"]) == ("call", reason, iso(START + 1000))


async def test_a_call_that_was_matched_elsewhere_was_not_missed(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await open_call(ledger, matched_call())
    await end_call(ledger, "call", reason="timeout", ended_at_ms=START + 1000, duration_seconds=0)
    assert await types(ledger) == ["call.ended"]


async def test_calls_that_end_together_are_each_told_of(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    names = [f"call{number}" for number in range(20)]
    for name in names:
        await talking(ledger, name, f"user of {name}")
    ends = (end_call(ledger, name, reason="manual", ended_at_ms=CONNECTED, duration_seconds=0) for name in names)
    await asyncio.gather(*ends)
    told = await data(ledger, "call.ended")
    assert sorted(one["callId"] for one in told) == sorted(names)
    assert all(one["userId"] == f"user of {one['callId']}" for one in told)


async def test_calls_that_a_restart_ends_are_told_of(ledger: Ledger, elsewhere: Ledger) -> None:
    await add_endpoint(ledger)
    await talking(ledger)
    await elsewhere.recover(now_ms=CONNECTED + 60_000)
    [told] = await data(ledger, "call.ended")
    assert (told["callId"], told["endReason"], told["endedBy"]) == ("call", "system_error", None)


async def test_a_status_is_told(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    told = call_events.otomo_status("otomo", "online", Moment(0.0, START))
    await ledger.store_deferred(DeferredSteps((), (told,), START))
    assert await data(ledger, "otomo.status") == [{"otomoId": "otomo", "status": "online", "timestamp": iso(START)}]


@pytest.mark.parametrize(
    ("low_points", "amounts", "told"),
    [
        (0, [100, -100], []),
        (50, [100, -50], []),
        (50, [100, -51], [49]),
        (50, [100, -60, -20], [40]),  # once
        (50, [100, -60, 60, -60], [40, 40]),  # and once more after it was enough
        (50, [40], []),
    ],
)
async def test_a_balance_is_told_to_be_low_when_it_falls_below(
    url: str, low_points: int, amounts: list[int], told: list[int]
) -> None:
    async with Ledger.open(url, wallet_low_points=low_points) as ledger:
        await add_endpoint(ledger)
        for number, amount in enumerate(amounts):
            await credit(ledger, amount, key=str(number))
        assert [one["balance"] for one in await data(ledger, "wallet.low")] == told


async def test_the_last_unit_that_can_be_paid_makes_it_low(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 100)
    await talking(ledger)
    charged(await ledger.charge_unit(unit(1)))
    assert [(one["balance"], one["callId"]) for one in await data(ledger, "wallet.low")] == [(0, "call")]


async def test_a_ban_is_told_and_nothing_else_that_is_decided_of_people(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    person = Person("user", "mallory")
    await ledger.people.change(person, START, banned=True, ban_reason="spam", until_ms=START + 1000)
    await ledger.people.change(person, START, revoked_at_ms=START)
    await ledger.people.change(person, START, banned=False, ban_reason=None, until_ms=None)
    told = {"role": "user", "userId": "mallory", "reason": "spam", "until": iso(START + 1000)}
    assert await data(ledger, "user.banned") == [told]
    assert await types(ledger) == ["user.banned"]


async def test_what_is_not_stored_is_not_told(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 10)
    with pytest.raises(KeyReused):
        await credit(ledger, 20)
    await credit(ledger, 10)  # the same again, which changes nothing
    await talking(ledger)
    with pytest.raises(StaleState):
        await move(ledger, "call", CallState.MATCHED, at_ms=CONNECTED, events=call_events.connected(live_call(), AT))
    assert await types(ledger) == ["wallet.adjusted"]
    await end_call(ledger, "call", reason="manual", ended_at_ms=CONNECTED, duration_seconds=0)
    await end_call(ledger, "call", reason="manual", ended_at_ms=CONNECTED, duration_seconds=0)
    assert await types(ledger) == ["wallet.adjusted", "call.ended"]


async def test_an_endpoint_is_told_from_its_making_on_by_every_node(ledger: Ledger, elsewhere: Ledger) -> None:
    await credit(ledger, 1, key="before")
    await credit(elsewhere, 1, key="before, too")
    await add_endpoint(elsewhere, "first")
    await credit(ledger, 1, key="after")
    await add_endpoint(ledger, "second")
    await credit(elsewhere, 1, key="later")
    assert [one["idempotencyKey"] for one in await data(ledger, "wallet.adjusted", "first")] == [
        "user after",
        "user later",
    ]
    assert [one["idempotencyKey"] for one in await data(ledger, "wallet.adjusted", "second")] == ["user later"]
    await elsewhere.webhooks.remove("first", at_ms=START)
    await credit(ledger, 1, key="last")
    assert len(await stored(ledger, "second")) == 2


async def test_without_endpoints_nothing_more_is_asked_of_the_database(sqlite_url: str) -> None:
    async def asked(ledger: Ledger, key: str) -> list[str]:
        statements: list[str] = []

        def note(_: object, __: object, statement: str, *___: object) -> None:
            statements.append(statement)

        engine = ledger._database.writer  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", note)
        await credit(ledger, 1, key=key)
        event.remove(engine, "before_cursor_execute", note)
        return [one for one in statements if "webhook_" in one or "FROM calls" in one]

    async with Ledger.open(sqlite_url) as ledger:
        await credit(ledger, 1, key="to learn that there is none")
        assert await asked(ledger, "none") == []
        await add_endpoint(ledger)
        assert len(await asked(ledger, "one")) == 2, "the endpoints, and their deliveries"


AT = Moment(0.0, CONNECTED)
