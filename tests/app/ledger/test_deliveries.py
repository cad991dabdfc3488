"""Deliveries as rows: due in order, taken by one node, finished, tried again, forgotten."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import Connection, text

from app.ledger import Ledger, deliveries
from app.ledger.deliveries import AT_ONCE_MOST, Outcome, Taken
from app.ledger.errors import EndpointDisabled, UnknownDelivery
from tests.app.ledger.ledger_samples import START, credit
from tests.app.ledger.postgres_cluster import Cluster
from tests.app.ledger.webhook_samples import add_endpoint, data, stored

LEASE_MS = 60_000
ROOM = 100
FAR_MS = 4_000_000_000_000  # later than any clock, the database's own included


async def take(ledger: Ledger, at_once: int = ROOM, now_ms: int = START, **under_way: int) -> tuple[Taken, ...]:
    return await ledger.webhooks.take(under_way, at_once, now_ms=now_ms, lease_ms=LEASE_MS)


def keys(taken: tuple[Taken, ...]) -> list[str]:
    return [one.body.split(b'"idempotencyKey":"')[1].split(b'"')[0].decode() for one in taken]


def outcome(taken: Taken, *, delivered: bool = True, again_ms: int | None = None, gone: bool = False) -> Outcome:
    status = 200 if delivered else 410 if gone else 500
    return Outcome(
        taken=taken,
        delivered=delivered,
        at_ms=START,
        took_ms=5,
        status=status,
        answer="so\\0so",
        again_ms=again_ms,
        gone=gone,
    )


async def finish(ledger: Ledger, *outcomes: Outcome) -> list[str | None]:
    return await ledger.webhooks.finish(outcomes)


async def lapse(ledger: Ledger, ms: int = LEASE_MS) -> None:
    """As if so much time had passed, by whichever clock counts."""
    moved = text(f"UPDATE webhook_deliveries SET next_attempt_at_ms = next_attempt_at_ms - {ms}")
    await ledger._database.write(lambda tx: tx.execute(moved) and None)


async def test_what_one_has_taken_nobody_else_takes(ledger: Ledger, elsewhere: Ledger) -> None:
    await add_endpoint(ledger)
    for number in range(30):
        await credit(ledger, 1, f"user{number}")
    rounds = await asyncio.gather(*(take((ledger, elsewhere)[number % 2], 10) for number in range(6)))
    taken = [one.id for some in rounds for one in some]
    assert len(taken) == len(set(taken)) > 0
    more = [one.id for _ in range(5) for one in await take(ledger, 10)]
    assert sorted(taken + more) == sorted(one.id for one in await stored(ledger))
    assert await take(elsewhere) == ()


async def test_what_was_taken_and_never_finished_is_due_again(ledger: Ledger, elsewhere: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    [first] = await take(ledger)
    await lapse(ledger, LEASE_MS - 30_000)
    assert await take(elsewhere) == ()
    await lapse(ledger, 30_000)
    [again] = await take(elsewhere)
    assert (again.id, again.body) == (first.id, first.body)
    assert await finish(ledger, outcome(first)) == [None]
    assert await finish(elsewhere, outcome(again, delivered=False)) == [None]
    [delivery] = await stored(ledger)
    assert (delivery.state, delivery.attempts) == ("delivered", 1), "what has arrived stays so"


async def test_those_about_the_same_come_one_after_the_other(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    for number in range(3):
        await credit(ledger, 1, "alice", str(number))
        await credit(ledger, 1, "bob", str(number))
    first = await take(ledger)
    assert keys(first) == ["alice 0", "bob 0"]
    assert await take(ledger) == ()
    await finish(ledger, outcome(first[0]), outcome(first[1], delivered=False, again_ms=LEASE_MS))
    second = await take(ledger)
    assert keys(second) == ["alice 1"]
    await finish(ledger, outcome(second[0], delivered=False))  # dead: it holds up nobody
    assert keys(await take(ledger)) == ["alice 2"]
    await lapse(ledger)
    [retried] = [one for one in await take(ledger) if one.id == first[1].id]
    assert retried.attempts == 1


async def test_what_is_due_is_found_by_the_indexes_of_what_is_pending(cluster: Cluster) -> None:
    """Also by a plan that is made for all values: the server changes to one after a statement's first five times."""

    def plan(tx: Connection) -> str:
        find = str(deliveries.BY_DATABASE[0].compile(dialect=tx.dialect))
        nothing = ", ".join("NULL" for _ in set(re.findall(r"\$\d+", find)))
        for words in ("SET LOCAL plan_cache_mode = force_generic_plan", "SET LOCAL enable_seqscan = off"):
            tx.exec_driver_sql(words)
        tx.exec_driver_sql(f"PREPARE find AS {find}")
        return "\n".join(tx.exec_driver_sql(f"EXPLAIN EXECUTE find({nothing})").scalars())

    url = cluster.new_database()
    async with Ledger.open(url) as ledger:
        made = await ledger._database.write(plan)
    cluster.give_back(url)
    assert "Index Scan using ix_webhook_deliveries_due" in made
    assert "using ix_webhook_deliveries_about" in made


async def test_each_endpoint_has_room_of_its_own(ledger: Ledger) -> None:
    for name in ("one", "two"):
        await add_endpoint(ledger, name)
    for number in range(10):
        await credit(ledger, 1, f"user{number}")
    taken = await take(ledger, 4, one=4, two=1)
    assert [one.endpoint.id for one in taken] == ["two"] * 3


async def test_to_what_is_disabled_nothing_goes(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    await ledger.webhooks.change("we", {"disabled_at_ms": START, "disabled_reason": "admin"})
    assert await take(ledger) == ()
    [delivery] = await stored(ledger)
    with pytest.raises(EndpointDisabled):
        await ledger.webhooks.retry(delivery.id)
    with pytest.raises(EndpointDisabled):
        await ledger.webhooks.add_test("we", at_ms=START)
    await credit(ledger, 1, key="meanwhile")
    assert [one.state for one in await stored(ledger)] == ["pending", "dead"]
    await ledger.webhooks.change("we", {"disabled_at_ms": None, "disabled_reason": None})
    assert keys(await take(ledger)) == ["user first"]


async def test_410_and_days_of_failures_disable_an_endpoint_once(ledger: Ledger) -> None:
    for name in ("gone", "failing", "well"):
        await add_endpoint(ledger, name)
    await credit(ledger, 1)
    by_endpoint = {one.endpoint.id: one for one in await take(ledger)}
    failed = [
        outcome(by_endpoint["gone"], delivered=False, again_ms=1, gone=True),
        outcome(by_endpoint["failing"], delivered=False, again_ms=1),
        outcome(by_endpoint["well"]),
    ]
    assert await finish(ledger, *failed) == ["gone", None, None]
    long_ago = text("UPDATE webhook_endpoints SET failing_since_ms = 0 WHERE id = 'failing'")
    await ledger._database.write(lambda tx: tx.execute(long_ago) and None)
    assert await finish(ledger, failed[1]) == ["failing"]
    assert await finish(ledger, failed[1]) == [None], "it is disabled already"
    found = {one.id: one.disabled_reason for one in await ledger.webhooks.endpoints()}
    assert found == {"gone": "gone", "failing": "failing", "well": None}


async def test_an_outcome_is_read_as_it_was_stored(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    [taken] = await take(ledger)
    await finish(ledger, outcome(taken, delivered=False, again_ms=5_000))
    [delivery] = await stored(ledger)
    assert await ledger.webhooks.delivery(delivery.id) == delivery
    assert (delivery.state, delivery.attempts, delivery.status, delivery.took_ms) == ("pending", 1, 500, 5)
    assert (delivery.last_attempt_at_ms, delivery.answer) == (START, "so\\0so")
    assert delivery.body == taken.body


async def test_what_is_given_back_is_due_at_once(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    [taken] = await take(ledger)
    await ledger.webhooks.give_back([taken.id])
    assert [one.id for one in await take(ledger)] == [taken.id]


async def test_a_delivery_is_tried_again_on_request_with_its_id(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    [taken] = await take(ledger)
    await finish(ledger, outcome(taken))
    retried = await ledger.webhooks.retry(taken.id)
    assert (retried.state, retried.attempts) == ("pending", 0)
    assert [one.id for one in await take(ledger)] == [taken.id]
    with pytest.raises(UnknownDelivery):
        await ledger.webhooks.retry("msg_none")
    with pytest.raises(UnknownDelivery):
        await ledger.webhooks.delivery("msg_none")


async def test_a_span_of_time_is_replayed_and_no_more(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    for number in range(4):
        await credit(ledger, 1, f"user{number}")
    for taken in await take(ledger):
        await finish(ledger, outcome(taken))
    ages = text("UPDATE webhook_deliveries SET created_at_ms = number")
    await ledger._database.write(lambda tx: tx.execute(ages) and None)
    first = min(one.created_at_ms for one in await stored(ledger))
    assert await ledger.webhooks.replay("we", from_ms=first + 1, to_ms=first + 2) == 2
    assert await ledger.webhooks.replay("we", from_ms=0, to_ms=first + 2) == 1, "what is pending already is left"
    assert [one.state for one in await stored(ledger)] == ["pending"] * 3 + ["delivered"]


async def test_many_are_replayed_and_forgotten_in_pieces(sqlite_url: str) -> None:
    many = 2 * AT_ONCE_MOST + 10
    copies = text(
        """
        INSERT INTO webhook_deliveries (id, endpoint_id, about, type, body, state, created_at_ms, next_attempt_at_ms)
        WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :many)
        SELECT 'msg_' || i, 'we', 'user ' || i, 'wallet.adjusted', '{}', 'dead', 5, 0 FROM numbers
        """
    )
    async with Ledger.open(sqlite_url) as ledger:
        await add_endpoint(ledger)
        await ledger._database.write(lambda tx: tx.execute(copies, {"many": many}) and None)
        assert await ledger.webhooks.replay("we", from_ms=0, to_ms=5) == many
        assert await ledger.webhooks.waiting() == {"we": many}
        await ledger.webhooks.remove("we", at_ms=START)
        assert await ledger.webhooks.waiting() == {}
        assert await ledger.webhooks.prune(delivered_before_ms=FAR_MS, others_before_ms=FAR_MS) == 0


async def test_old_ones_are_forgotten_each_in_their_time(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    for number in range(3):
        await credit(ledger, 1, f"user{number}")
    delivered, dead, _ = await take(ledger)
    await finish(ledger, outcome(delivered), outcome(dead, delivered=False))
    assert await ledger.webhooks.prune(delivered_before_ms=START, others_before_ms=START) == 0
    assert await ledger.webhooks.prune(delivered_before_ms=START + 1, others_before_ms=START) == 1
    assert [one.state for one in await stored(ledger)] == ["dead", "pending"]
    assert await ledger.webhooks.prune(delivered_before_ms=START, others_before_ms=START + 1) == 2
    assert await stored(ledger) == []


async def test_what_a_dead_process_left_half_deleted_is_forgotten(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    half = text("UPDATE webhook_endpoints SET disabled_at_ms = 1, disabled_reason = 'deleted'")
    await ledger._database.write(lambda tx: tx.execute(half) and None)
    assert await ledger.webhooks.prune(delivered_before_ms=0, others_before_ms=0) == 1
    await add_endpoint(ledger)
    assert await data(ledger, "wallet.adjusted") == []


async def test_a_test_is_a_delivery_like_others(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    added = await ledger.webhooks.add_test("we", at_ms=START)
    assert (added.type, added.state) == ("webhook.test", "pending")
    assert await data(ledger, "webhook.test") == [{"webhookId": "we"}]
    assert [one.id for one in await take(ledger)] == [added.id]


async def test_a_failing_endpoint_is_judged_while_deliveries_to_it_are_stored(
    ledger: Ledger, elsewhere: Ledger
) -> None:
    """Neither waits for the other's locks in a circle, and what is told is stored all the same."""
    await add_endpoint(ledger)
    for number in range(40):
        await credit(ledger, 1, f"user{number}")
    failures = [outcome(one, delivered=False, again_ms=1) for one in await take(ledger)]
    judged = (finish(elsewhere, one) for one in failures)
    more = (credit(ledger, 1, f"user{number}", "more") for number in range(40))
    changed = (ledger.webhooks.change("we", {"description": f"change {number}"}) for number in range(20))
    await asyncio.gather(*judged, *more, *changed)
    assert len(await stored(ledger)) == 80
    assert (await ledger.webhooks.endpoint("we")).failing_since_ms is not None
