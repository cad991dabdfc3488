"""Each kind of tariff on a real call, with short units: what is charged, when, and what both are told."""

from __future__ import annotations

import pytest
from msgspec import json

from schemas.base import dump
from schemas.tariff import Tariff
from tests.conftest import serving
from tests.integration.paid_calls import Scene, milliseconds, talking
from tests.integration.stage import POINTS
from voiceplane.client.errors import Refused

LATE_MS = 3_000  # a charge waits for a sweep each second, on a busy machine


async def told_units(scene: Scene, ticks: int) -> list[tuple[int, int, int]]:
    """(last index, points, seconds of talk) of so many ticks, which came when they were due and no earlier."""
    for who in (scene.user, scene.otomo):
        await who.socket.until("call_tick", scene.call_id, count=ticks)
    [connected] = scene.user.socket.payloads("call_connected", scene.call_id)
    began_ms = milliseconds(connected["connectedAt"])
    told = []
    for event in scene.user.socket.told:
        if event["type"] == "call_tick":
            tick = event["payload"]
            due_ms = began_ms + 1000 * tick["durationSeconds"]
            assert due_ms - 1 <= milliseconds(tick["timestamp"]) <= due_ms + 1001
            assert due_ms <= scene.user.socket.came_ms[event["seq"]] <= due_ms + 1000 + LATE_MS
            told.append((tick["tickNumber"], tick["chargedPoints"], tick["durationSeconds"]))
    return told[:ticks]


async def ends_with(scene: Scene, unit_points: int) -> None:
    """It is ended, and all that is stored of it says the same as what was told."""
    await scene.admin.request("POST", f"/admin/calls/{scene.call_id}/end")
    end = await scene.user.socket.until("call_end", scene.call_id)
    last = scene.user.socket.payloads("call_tick", scene.call_id)[-1]
    units, points = last["tickNumber"], end["totalChargedPoints"]
    assert last["totalChargedPoints"] == points == units * unit_points
    record = await scene.admin.request("GET", f"/calls/{scene.call_id}")
    assert (record["billedUnits"], record["billedPoints"]) == (units, points)
    billing = await scene.admin.request("GET", f"/calls/{scene.call_id}/billing")
    assert [unit["index"] for unit in billing["units"]] == list(range(1, units + 1))
    assert billing["totalPoints"] == points
    balance = await scene.user.api.request("GET", "/wallet/balance")
    assert balance["balance"] == scene.points - points
    usage = (await scene.user.api.request("GET", "/wallet/usage"))["usage"]
    assert sum(line["billedPoints"] for line in usage) == points
    assert await scene.server.ledger.audit() == ()


BY_THE_MINUTE = Tariff(unit_seconds=1, unit_points=100)
BEGUN = Tariff(unit_seconds=2, unit_points=100, charge="started")
SIX_AT_LEAST = Tariff(unit_seconds=1, unit_points=100, charge="started", minimum_units=6)
FREE_FIRST = Tariff(unit_seconds=1, unit_points=100, free_seconds=2)
BLOCKS = Tariff(unit_seconds=3, unit_points=300)
PER_SECOND = Tariff(unit_seconds=0.5, unit_points=2)

LIVES = {
    "by the minute": (BY_THE_MINUTE, [(1, 100, 1), (2, 100, 2)]),
    "begun minutes cost": (BEGUN, [(1, 100, 0), (2, 100, 2)]),
    "six minutes at least": (SIX_AT_LEAST, [(6, 600, 0)]),
    "free, then by the minute": (FREE_FIRST, [(1, 100, 3), (2, 100, 4)]),
    "blocks of three": (BLOCKS, [(1, 300, 3)]),
    "per second": (PER_SECOND, [(1, 2, 0), (2, 2, 1), (3, 2, 1), (4, 2, 2)]),
}


@pytest.mark.parametrize("life", LIVES)
async def test_a_call_is_charged_by_its_tariff(short, life):
    tariff, expected = LIVES[life]
    async with serving(short()) as server, talking(server, tariff=tariff) as (scene, _):
        shown = await scene.user.api.request("GET", "/calls/call")
        assert shown["tariff"] == dump(tariff) | {"maxSeconds": server.settings.max_call_seconds}
        assert shown["pricePerMinute"] == tariff.price_per_minute
        assert await told_units(scene, len(expected)) == expected
        await ends_with(scene, tariff.unit_points)


@pytest.mark.parametrize("life", ["begun minutes cost", "six minutes at least", "free, then by the minute"])
async def test_the_settings_are_the_tariff_of_calls_without_one(short, life):
    tariff, expected = LIVES[life]
    settings = short(
        unit_seconds=tariff.unit_seconds,
        price_per_minute=tariff.unit_points,
        charge=tariff.charge,
        free_seconds=tariff.free_seconds,
        minimum_units=tariff.minimum_units,
        max_call_seconds=900,
    )
    async with serving(settings) as server, talking(server) as (scene, _):
        shown = await scene.user.api.request("GET", "/calls/call")
        assert shown["tariff"] == dump(tariff) | {"maxSeconds": 900}
        assert await told_units(scene, 1) == expected[:1]


async def test_an_otomos_tariff_counts_before_the_settings_and_a_calls_own_before_both(stage):
    blocks = {"unitSeconds": 180.0, "unitPoints": 301, "charge": "started", "maxSeconds": 3600}
    answer = await stage.admin.request("PUT", "/admin/rates/otomo", {"tariff": blocks})
    assert (answer["pricePerMinute"], answer["tariff"]["unitPoints"]) == (101, 301)
    await stage.ring()
    assert (await stage.otomo.socket.until("incoming_call"))["pricePerMinute"] == 101
    stored = (await stage.user.api.request("GET", "/calls/u_call"))["tariff"]
    assert stored == blocks | {"freeSeconds": 0, "minimumUnits": 1}
    own = {"userId": "user", "otomoId": "otomo", "callId": "call", "tariff": {"unitSeconds": 1.0, "unitPoints": 0}}
    await stage.admin.request("POST", "/admin/calls", own)
    assert (await stage.admin.request("GET", "/calls/call"))["tariff"]["unitPoints"] == 0


async def test_a_call_needs_the_points_of_its_minimum_and_none_where_it_begins_free(stage):
    dear = {"tariff": {"unitSeconds": 60, "unitPoints": 10**8, "minimumUnits": 6}}
    await stage.admin.request("PUT", "/admin/rates/otomo", dear)
    with pytest.raises(Refused, match="402 INSUFFICIENT_POINTS"):
        await stage.ring()
    dear["tariff"]["freeSeconds"] = 60
    await stage.admin.request("PUT", "/admin/rates/otomo", dear)
    await stage.ring()


async def test_a_tariff_that_can_not_be_is_refused_with_the_place_and_makes_nothing(stage):
    impossible = {
        "tariff.unitSeconds": {"unitSeconds": 0, "unitPoints": 1},
        "tariff.unitPoints": {"unitSeconds": 60, "unitPoints": 2**53 + 1},
        "tariff.minimumUnits": {"unitSeconds": 60, "unitPoints": 1, "minimumUnits": 6, "maxSeconds": 300},
        "tariff.maxSeconds": {"unitSeconds": 60, "unitPoints": 0, "maxSeconds": -1},
    }
    beyond = {"unitSeconds": 60, "unitPoints": 1, "minimumUnits": stage.server.settings.max_call_seconds // 60 + 1}
    for path, tariff in (*impossible.items(), ("tariff.minimumUnits", beyond)):
        made = {"userId": "user", "otomoId": "otomo", "callId": "call", "tariff": tariff}
        for method, target, body in (
            ("POST", "/admin/calls", made),
            ("PUT", "/admin/rates/otomo", {"tariff": tariff}),
        ):
            with pytest.raises(Refused) as refused:
                await stage.admin.request(method, target, body)
            assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")
            assert path in str(refused.value), (path, refused.value)
    assert await stage.server.ledger.rate("otomo") is None
    assert await stage.server.ledger.call("call") is None


async def test_units_of_a_minimum_are_charged_together(short):
    """One transaction and one tick: nobody sees a part of them."""
    async with serving(short()) as server, talking(server, tariff=SIX_AT_LEAST, points=750) as (scene, _):
        tick = await scene.user.socket.until("call_tick", "call")
        assert (tick["tickNumber"], tick["userBalance"]) == (6, 150)
        events = [event for event in await server.ledger.tail(0) if event.type == "call_tick"]
        assert [json.decode(event.payload)["tickNumber"] for event in events] == [6, 6]
        await ends_with(scene, 100)


async def test_a_free_call_ends_after_its_longest_duration_unless_it_is_extended(short):
    """Warned before each of the two ends, and cut at the second one, to the millisecond of talk."""
    free = Tariff(unit_seconds=60, unit_points=0, max_seconds=3)
    settings = short(ending_warnings_s=(2, 1))
    async with serving(settings) as server, talking(server, tariff=free) as (scene, _):
        await scene.user.socket.until("call_ending", "call", count=2)
        answer = await scene.admin.request("POST", "/admin/calls/call/extend", {"seconds": 2})
        assert answer == {"callId": "call", "maxSeconds": 5}
        end = await scene.user.socket.until("call_end", "call")
        assert (end["reason"], end["durationSeconds"], end["totalChargedPoints"]) == ("max_duration", 5, 0)
        stored = await server.ledger.call("call")
        assert stored.talked_ms == 5000
        for who in (scene.user, scene.otomo):
            warned = who.socket.payloads("call_ending", "call")
            assert [(one["reason"], one["secondsLeft"]) for one in warned][:2] == [
                ("max_duration", 2),
                ("max_duration", 1),
            ]
            assert len(warned) >= 3, "it was told again of the later end"
            [connected] = who.socket.payloads("call_connected", "call")
            last_ms = milliseconds(warned[-1]["at"]) - milliseconds(connected["connectedAt"])
            assert abs(last_ms - 5000) < 250, "the moment that it was told of"
        shown = await scene.admin.request("GET", "/calls/call")
        assert (shown["tariff"]["maxSeconds"], shown["maxSeconds"]) == (3, 5)
        with pytest.raises(Refused, match="409 INVALID_CALL_STATE"):
            await scene.admin.request("POST", "/admin/calls/call/extend", {"seconds": 2})
        with pytest.raises(Refused, match="404 CALL_NOT_FOUND"):
            await scene.admin.request("POST", "/admin/calls/no-call/extend", {"seconds": 2})
        for seconds in (0, -5, 2**53 + 1, 1.5):
            with pytest.raises(Refused, match="seconds"):
                await scene.admin.request("POST", "/admin/calls/call/extend", {"seconds": seconds})


async def test_a_call_of_begun_minutes_is_cut_where_the_paid_one_is_over(short):
    """With a warning that says what is missing; the points that are left stay."""
    settings = short(ending_warnings_s=(2, 1))
    async with serving(settings) as server, talking(server, tariff=BEGUN, points=250) as (scene, _):
        end = await scene.user.socket.until("call_end", "call")
        assert (end["reason"], end["totalChargedPoints"]) == ("low_balance", 200)
        stored = await server.ledger.call("call")
        assert 4000 <= stored.talked_ms < 4000 + 1000 + LATE_MS
        warned = scene.user.socket.payloads("call_ending", "call")
        assert [(one["reason"], one["pointsNeeded"]) for one in warned] == [("low_balance", 50)] * 2
        ticks = scene.user.socket.payloads("call_tick", "call")
        assert [(tick["status"], tick["remainingSeconds"]) for tick in ticks] == [("ok", 4), ("low_balance", 2)]
        assert (await scene.user.api.request("GET", "/wallet/balance"))["balance"] == 50


async def test_points_in_time_keep_a_call_going(short):
    settings = short(ending_warnings_s=(2, 1))
    async with serving(settings) as server, talking(server, tariff=BEGUN, points=100) as (scene, _):
        warned = await scene.user.socket.until("call_ending", "call")
        gift = {"amount": warned["pointsNeeded"], "reason": "bought", "idempotencyKey": "in time"}
        await scene.admin.request("POST", f"/admin/wallets/{scene.user.user_id}/adjust", gift | {"idempotencyKey": "2"})
        await scene.user.socket.until("call_tick", "call", count=2)
        end = await scene.user.socket.until("call_end", "call")
        assert (end["reason"], end["totalChargedPoints"], end["durationSeconds"]) == ("low_balance", 200, 4)


async def test_a_refund_stands_in_the_bill_the_usage_and_the_wallet(short):
    async with serving(short()) as server, talking(server, tariff=SIX_AT_LEAST, points=750) as (scene, _):
        await scene.user.socket.until("call_tick", "call")
        target = "/admin/calls/call/refund"
        body = {"units": 2, "reason": "bad line", "idempotencyKey": "complaint"}
        done = await scene.admin.request("POST", target, body)
        assert (done["userId"], done["points"], done["refundedPoints"], done["balance"]) == (
            scene.user.user_id, 200, 200, 350,
        )  # fmt: skip
        assert await scene.admin.request("POST", target, body) == done
        with pytest.raises(Refused, match="409 IDEMPOTENCY_KEY_REUSED"):
            await scene.admin.request("POST", target, body | {"units": 1})
        update = await scene.user.socket.until("wallet_update", count=2)
        assert (update["balance"], update["reason"]) == (350, "refund")
        for wrong, place in (
            ({"points": 401}, "points"),
            ({"units": 5}, "units"),
            ({"points": 2**53 + 1}, "points"),
            ({"points": -1}, "points"),
            ({"units": 0}, "units"),
            ({"points": 1, "units": 1}, "units"),
            ({}, "points"),
        ):
            with pytest.raises(Refused, match=place) as refused:
                await scene.admin.request("POST", target, wrong | {"reason": "r", "idempotencyKey": "other"})
            assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")
        assert await scene.user.refused("POST", target, body) == (403, "FORBIDDEN")
        with pytest.raises(Refused, match="404 CALL_NOT_FOUND"):
            await scene.admin.request("POST", "/admin/calls/no-call/refund", body)
        billing = await scene.user.api.request("GET", "/calls/call/billing")
        assert (billing["totalPoints"], billing["refundedPoints"]) == (600, 200)
        assert [(one["points"], one["units"], one["reason"]) for one in billing["refunds"]] == [(200, 2, "bad line")]
        [line] = (await scene.user.api.request("GET", "/wallet/usage"))["usage"]
        assert (line["billedPoints"], line["refundedPoints"]) == (600, 200)
        assert (await scene.otomo.api.request("GET", "/calls/call"))["refundedPoints"] == 200
        assert await server.ledger.audit() == ()


async def test_points_in_lots_are_shown_to_their_user_and_to_admins(stage):
    gift = {"amount": 70, "reason": "spring", "idempotencyKey": "spring", "kind": "bonus"}
    target = "/admin/wallets/rich/adjust"
    await stage.admin.request("POST", target, gift | {"expiresAt": "2999-12-31T00:00:00.000Z"})
    await stage.admin.request("POST", target, {"amount": 500, "reason": "bought", "idempotencyKey": "bought"})
    wallet = await stage.admin.request("GET", "/admin/wallets/rich")
    assert {name: wallet[name] for name in ("balance", "paidPoints", "bonusPoints")} == {
        "balance": 570,
        "paidPoints": 500,
        "bonusPoints": 70,
    }
    assert [(lot["kind"], lot["remaining"], lot["expiresAt"]) for lot in wallet["lots"]] == [
        ("bonus", 70, "2999-12-31T00:00:00.000Z"),
        ("paid", 500, None),
    ]
    outstanding = await stage.admin.request("GET", "/admin/points/outstanding")
    assert {"kind": "bonus", "month": "2999-12", "points": 70} in outstanding["lots"]
    assert outstanding["bonusPoints"] == 70
    today = (await stage.admin.request("GET", "/admin/points/daily"))["days"][-1]
    assert (today["addedPoints"], today["outstandingPoints"]) == (1570, 1570)  # the stage gave 1,000
    for wrong, place in (
        (gift | {"expiresAt": "2001-01-01T00:00:00.000Z"}, "expiresAt"),
        (gift | {"expiresAt": "2027-13-01T00:00:00.000Z"}, "expiresAt"),
        (gift | {"expiresAt": "tomorrow"}, "expiresAt"),
        (gift | {"amount": -5, "expiresAt": "2999-12-31T00:00:00.000Z"}, "expiresAt"),
        (gift | {"kind": "stolen"}, "kind"),
        (gift | {"amount": 2**53 + 1}, "amount"),
    ):
        with pytest.raises(Refused, match=place) as refused:
            await stage.admin.request("POST", target, wrong | {"idempotencyKey": "wrong"})
        assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")
    with pytest.raises(Refused, match="404 WALLET_NOT_FOUND"):
        await stage.admin.request("GET", "/admin/wallets/nobody")
    assert await stage.user.refused("GET", "/admin/wallets/rich") == (403, "FORBIDDEN")
    assert await stage.user.refused("GET", "/admin/points/outstanding") == (403, "FORBIDDEN")


async def test_what_points_did_is_told_day_by_day_until_today(stage):
    found = await stage.admin.request("GET", "/admin/points/daily")
    today = found["at"][:10]
    assert len(found["days"]) == 30
    assert found["days"][-1] == {
        "day": today,
        "chargedPoints": 0,
        "refundedPoints": 0,
        "addedPoints": POINTS,
        "removedPoints": 0,
        "expiredPoints": 0,
        "outstandingPoints": POINTS,
    }
    assert [one["outstandingPoints"] for one in found["days"][:-1]] == [0] * 29
    some = await stage.admin.request("GET", "/admin/points/daily?from=2026-02-27&days=3")
    assert [one["day"] for one in some["days"]] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    cut = await stage.admin.request("GET", f"/admin/points/daily?from={today}&days=366")
    assert [one["day"] for one in cut["days"]] == [today]
    assert (await stage.admin.request("GET", "/admin/points/daily?from=9999-12-31"))["days"] == []
    for wrong in ("days=0", "days=367", "days=x", "from=2026-02-30", "from=yesterday", "from="):
        with pytest.raises(Refused, match=wrong.partition("=")[0]) as refused:
            await stage.admin.request("GET", f"/admin/points/daily?{wrong}")
        assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")
    assert await stage.user.refused("GET", "/admin/points/daily") == (403, "FORBIDDEN")
