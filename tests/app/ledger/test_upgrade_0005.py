"""A database of the release before interruptions and rooms: everything that it holds is there after the upgrade."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, MetaData, Table, insert, select, text

from app.ledger import Ledger, upgrade
from app.ledger.backend import open_database
from app.ledger.upgrade import run_migrations
from app.ledger.values import Adopted, Rate
from app.person import Person
from schemas.call import CallState
from tests.app.ledger.ledger_samples import interrupt, move, move_media, new_call, open_call

Row = dict[str, Any]

NODE = "main"
BEGAN = 1_790_000_000_000
CONNECTED = BEGAN + 9_000
PROVEN = CONNECTED + 131_500  # of those that talk
ENDED = CONNECTED + 125_000
STATES = ("requesting", "ringing", "matched", "connecting", "talking", "ending", "ended")
SECONDS = {"ended": 125, "low": 180, "unheard": 0}  # of the calls that have ended
TALKED_MS = {"talking": PROVEN - CONNECTED, "ending": PROVEN - CONNECTED, "silent": 0}


def call(name: str, state: str, **changed: Any) -> Row:
    row = {"id": name, "user_id": f"{name}.user", "otomo_id": f"{name}.otomo", "state": state, "node": NODE}
    times = dict.fromkeys(("accepted_at_ms", "connected_at_ms", "last_rtp_at_ms", "ended_at_ms"))
    ends: Row = {"end_reason": None, "duration_seconds": None, "billed_units": 0, "billed_points": 0}
    rest: Row = {"exclusive": name == state, "price_per_minute": 100, "created_at_ms": BEGAN}
    return row | times | ends | rest | changed


def calls() -> list[Row]:
    """One in each state, some more that talked, one that never did; those named by their state keep people busy."""
    accepted = {"accepted_at_ms": BEGAN + 4000}
    connected = {**accepted, "connected_at_ms": CONNECTED, "last_rtp_at_ms": PROVEN}
    charged = {"billed_units": 2, "billed_points": 200}
    over = {"ended_at_ms": ENDED, "end_reason": "manual", "duration_seconds": 125}
    return [
        call("requesting", "requesting"),
        call("ringing", "ringing"),
        call("matched", "matched", **accepted),
        call("connecting", "connecting", **accepted),
        call("talking", "talking", **connected, **charged),
        call("ending", "ending", **connected, **charged),
        call("ended", "ended", **connected, **charged, **over),
        call("silent", "talking", **{**connected, "last_rtp_at_ms": CONNECTED}),
        call("low", "ended", **connected, **charged, **{**over, "end_reason": "low_balance", "duration_seconds": 180}),
        call("unheard", "ended", **{**over, "end_reason": "timeout", "duration_seconds": 0}),
    ]


def timeline_of(one: Row) -> list[Row]:
    passed = STATES[: STATES.index(one["state"]) + 1]
    return [{"call_id": one["id"], "state": state, "cause": f"to {state}", "at_ms": BEGAN} for state in passed]


def units_of(one: Row) -> list[Row]:
    index = range(1, one["billed_units"] + 1)
    times = ({"duration_seconds": 60 * n, "charged_at_ms": CONNECTED + 60_000 * n} for n in index)
    unit: Row = {"call_id": one["id"], "points": 100}
    sums = ({"unit_index": n, "total_points": 100 * n, "balance_after": 1000 - 100 * n} for n in index)
    return [unit | money | time for money, time in zip(sums, times, strict=True)]


def statement_of(one: Row) -> list[Row]:
    line: Row = {"user_id": one["user_id"], "call_id": None, "unit_index": None, "idempotency_key": None}
    gift = line | {"amount": 1000, "reason": "gift", "idempotency_key": one["id"], "balance_after": 1000, "at_ms": 1}
    debits = [
        line
        | {"call_id": unit["call_id"], "unit_index": unit["unit_index"], "amount": -unit["points"], "reason": "unit"}
        | {"balance_after": unit["balance_after"], "at_ms": unit["charged_at_ms"]}
        for unit in units_of(one)
    ]
    return [gift, *debits]


def told_of(found: list[Row]) -> list[Row]:
    """Something to each party of each call, and to all."""
    people = [(one, role) for one in found for role in ("user", "otomo")]
    to_each = [
        {
            "role": role,
            "user_id": one[f"{role}_id"],
            "call_id": one["id"],
            "payload": {"callId": one["id"], "note": "も"},
        }
        for one, role in people
    ]
    to_all = {"role": None, "user_id": None, "call_id": None, "payload": {"otomoId": "x"}}
    rest = {"type": "some_event", "unit_index": None, "at_ms": BEGAN}
    return [rest | event | {"seq": seq} for seq, event in enumerate([*to_each, to_all], start=1)]


def record_of(one: Row) -> Row:
    quality = {"from": one["user_id"], "to": one["otomo_id"], "mos": 4.25}
    lists = {"quality": [quality], "flags": [], "transports": [{"userId": one["user_id"], "protocol": "udp"}]}
    return {"call_id": one["id"], "ended_by": "user", "unit_seconds": 60.0, "worker": 1, "mos": 4.25, **lists}


def recovered(one: Row) -> Row:
    kept = ("ended_at_ms", "duration_seconds", "billed_units", "billed_points", "node")
    return {"call_id": one["id"], "recovered_at_ms": ENDED, "state": "talking"} | {name: one[name] for name in kept}


def contents() -> dict[str, list[Row]]:
    """Rows of every table, each before those that refer to it."""
    found = calls()
    told = told_of(found)
    busy = [one for one in found if one["exclusive"] and one["state"] != "ended"]
    return {
        "calls": found,
        "call_transitions": [step for one in found for step in timeline_of(one)],
        "call_units": [unit for one in found for unit in units_of(one)],
        "call_records": [record_of(one) for one in found if one["state"] == "ended"],
        "wallets": [
            {"user_id": one["user_id"], "balance": 1000 - one["billed_points"], "updated_at_ms": BEGAN} for one in found
        ],
        "point_transactions": [line for one in found for line in statement_of(one)],
        "rates": [{"otomo_id": "rich", "price_per_minute": 700, "updated_at_ms": BEGAN}],
        "live_parties": [
            {"role": role, "user_id": one[f"{role}_id"], "call_id": one["id"]}
            for one in busy
            for role in ("user", "otomo")
        ],
        "recovery_log": [recovered(one) for one in found if one["id"] == "low"],
        "events": told,
        "event_counter": [{"id": 1, "last_seq": len(told)}],
    }


def fill(tx: Connection) -> None:
    """As that release stored it, by the tables that its migrations made."""
    run_migrations(tx, "0004")
    tables = tables_in(tx)
    tx.execute(tables["event_counter"].delete())
    for name, rows in contents().items():
        tx.execute(insert(tables[name]), rows)
    assert set(contents()) | {"alembic_version"} == set(tables), "a table is not tested"


def tables_in(tx: Connection) -> dict[str, Table]:
    found = MetaData()
    found.reflect(tx)
    return dict(found.tables)


def everything(tx: Connection) -> dict[str, list[Row]]:
    tables = tables_in(tx).items()
    return {name: sorted((dict(row) for row in tx.execute(select(one)).mappings()), key=repr) for name, one in tables}


async def upgraded(url: str) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """What was in the database, and what is after the upgrade."""
    async with open_database(url, 5.0) as database:
        await database.write(fill)
        before = await database.read(everything)
    assert (await upgrade(url)).before == "0004"
    async with open_database(url, 5.0) as database:
        return before, await database.read(everything)


async def test_nothing_is_lost_and_what_was_talked_is_known(url: str) -> None:
    before, after = await upgraded(url)
    assert (after.pop("call_segments"), after.pop("call_interruptions")) == ([], [])
    for name in after.keys() - before.keys():  # of migrations that came later
        after.pop(name)
    assert before.pop("alembic_version") != after.pop("alembic_version")
    for table in after.keys() - {"calls", "event_counter"}:  # as migrations that came later leave them
        after[table] = [{name: row[name] for name in before[table][0]} for row in after[table]]
    for row in after["calls"]:
        name = row["id"]
        assert row.pop("epoch") == 1
        assert row.pop("talked_ms") == TALKED_MS.get(name, 1000 * SECONDS.get(name, 0)), name
        row["last_rtp_at_ms"] = row.pop("proven_at_ms")
    after["calls"] = sorted(({name: row[name] for name in before["calls"][0]} for row in after["calls"]), key=repr)
    [counter] = before.pop("event_counter")
    assert after.pop("event_counter") == [counter | {"webhooks_version": 0}]
    assert after == before
    assert all(before.values()), "an empty table proves nothing"


async def test_every_row_that_refers_to_another_one_finds_it(url: str) -> None:
    await upgraded(url)
    async with open_database(url, 5.0) as database:
        if not url.startswith("sqlite"):
            orphans = "SELECT 1 FROM pg_constraint WHERE NOT convalidated"
        else:
            orphans = "PRAGMA foreign_key_check"
        assert await database.read(lambda tx: tx.execute(text(orphans)).all()) == []
        if url.startswith("sqlite"):
            assert await database.read(lambda tx: tx.scalar(text("PRAGMA integrity_check"))) == "ok"


async def test_the_books_add_up_and_lists_and_people_are_as_they_were(url: str) -> None:
    await upgraded(url)
    async with Ledger.open(url) as ledger:
        assert await ledger.audit() == ()
        assert {one.id for one in (await ledger.calls_of()).items} == {one["id"] for one in calls()}
        billing = await ledger.billing("ended")
        assert [(unit.index, unit.points) for unit in billing.units] == [(1, 100), (2, 100)]
        record = await ledger.record("ended")
        assert ([one.mos for one in record.quality], [one.protocol for one in record.transports]) == ([4.25], ["udp"])
        assert [line.call_id for line in await ledger.recovery_log()] == ["low"]
        assert await ledger.rate("rich") == Rate(700)
        assert len(await ledger.events_since(Person("otomo", "ended.otomo"), 0)) == 1
        assert await ledger.latest_seq() == 2 * len(calls()) + 1


async def test_a_start_takes_up_the_calls_that_talked_and_ends_the_others(url: str) -> None:
    await upgraded(url)
    async with Ledger.open(url) as ledger:
        found = await ledger.recover(now_ms=PROVEN + 5000, window_ms=20_000)
        [taken] = found.adopted
        assert taken == Adopted(taken.call, PROVEN, "node_lost", True, None)
        assert (taken.call.id, taken.call.talked_ms, taken.call.billed_units) == ("talking", TALKED_MS["talking"], 2)
        ended = {one.call_id: one.duration_seconds for one in found.ended}
        assert ended == {"requesting": 0, "ringing": 0, "matched": 0, "connecting": 0, "ending": 131, "silent": 0}
        await move_media(ledger, "talking", reason="node_lost", at_ms=PROVEN + 6000)
        await move(ledger, "talking", CallState.TALKING, epoch=2, at_ms=PROVEN + 7000)
        await interrupt(ledger, "talking", epoch=2, at_ms=PROVEN + 9000, talked_ms=TALKED_MS["talking"] + 2000)
        await move(ledger, "talking", CallState.TALKING, epoch=2, at_ms=PROVEN + 11_000)
        states = [step.state for step in await ledger.timeline("talking")]
        assert states[-4:] == ["interrupted", "talking", "interrupted", "talking"]
        await open_call(ledger, new_call("next", "ringing.user", "ringing.otomo"))
        assert await ledger.audit() == ()
