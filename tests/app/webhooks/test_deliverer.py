"""What is stored arrives: in order, at least once, under one id, whatever receivers and nodes do meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from aiohttp import web
from sqlalchemy import text

from app.ledger.errors import EndpointDisabled
from app.webhooks.deliverer import RETRY_AFTER_S
from app.webhooks.signing import new_secret
from tests.app.ledger.ledger_samples import START
from tests.app.webhooks.conftest import PACE, Clock
from tests.app.webhooks.receiver import Received, always, no_content, receiving
from tests.conftest import eventually, free_ports

DAY_S = 24 * 60 * 60


async def hang(_: Received) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def test_what_happens_is_told(post):
    async with receiving() as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell(amount=7)
        [got] = await receiver.until(1)
        await post.until_delivered(endpoint)
        assert got.type == "wallet.adjusted"
        assert got.message["timestamp"] == "2027-01-15T08:00:00.000Z"
        assert got.data == {
            "userId": "user",
            "balance": 7,
            "amount": 7,
            "reason": "gift",
            "idempotencyKey": "user first",
        }
        [stored] = await post.deliveries(endpoint)
        assert (stored.id, stored.body, stored.state, stored.attempts, stored.status) == (
            *(got.id, got.body, "delivered", 1, 204),
        )
        assert post.results == ["delivered"]


async def test_a_failure_is_tried_again_by_the_schedule_until_it_is_dead(post):
    async with receiving(always(500, "ouch")) as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell()
        for attempt, wait_s in enumerate(RETRY_AFTER_S, start=1):
            stored = await post.until_settled(endpoint, attempt)
            assert (stored.state, stored.status, stored.answer) == ("pending", 500, "ouch")
            assert stored.next_attempt_at_ms == post.clock() + wait_s * 1000
            post.clock.move(wait_s)
        last = await post.until_settled(endpoint, len(RETRY_AFTER_S) + 1)
        assert last.state == "dead"
        assert len({one.id for one in receiver.got}) == 1
        assert len({one.body for one in receiver.got}) == 1
        assert post.results == ["failed"] * len(RETRY_AFTER_S) + ["dead"]


async def test_nothing_is_tried_before_its_time(post):
    async with receiving(always(500)) as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell()
        await post.until_settled(endpoint, 1)
        post.clock.move(RETRY_AFTER_S[0] - 0.001)
        post.deliverer.wake()
        await post.tell("other")  # which is sent in the meantime
        await eventually(lambda: len(receiver.got) < 2 and "only one came")
        assert [one.data["userId"] for one in receiver.got] == ["user", "other"]
        post.clock.move(0.001)
        await receiver.until(3)
        assert receiver.got[2].id == receiver.got[0].id


async def test_a_receiver_that_is_down_for_an_hour_gets_everything_in_order(post):
    port = free_ports(1)
    endpoint = await post.endpoint(f"http://127.0.0.1:{port}/hook")
    for number in range(3):
        await post.tell("alice", str(number))
        await post.tell("bob", str(number))
    for _ in range(12):
        post.clock.move(300)
        post.deliverer.wake()
        await asyncio.sleep(0.02)
    async with receiving(port=port) as receiver:
        for _ in range(30):
            post.clock.move(3600)
            post.deliverer.wake()
            await asyncio.sleep(0.05)
        await post.until_delivered(endpoint)
        for user in ("alice", "bob"):
            keys = [one.data["idempotencyKey"] for one in receiver.got if one.data["userId"] == user]
            assert keys == [f"{user} {number}" for number in range(3)]
        assert len({one.id for one in receiver.got}) == len(receiver.got) == 6


async def test_those_about_the_same_wait_for_one_another_and_nobody_else_does(post):
    stuck = asyncio.Event()

    async def slow_for_alice(one: Received) -> web.StreamResponse:
        if one.data["userId"] == "alice":
            await stuck.wait()
        return web.Response()

    async with receiving(slow_for_alice) as receiver:
        endpoint = await post.endpoint(receiver.url())
        for number in range(3):
            await post.tell("alice", str(number))
        for number in range(3):
            await post.tell("bob", str(number))
        await eventually(lambda: len(receiver.got) < 4 and f"only {len(receiver.got)} came")
        assert Counter(one.data["userId"] for one in receiver.got) == {"alice": 1, "bob": 3}
        stuck.set()
        await post.until_delivered(endpoint)
        told = [one.data["idempotencyKey"] for one in receiver.got if one.data["userId"] == "alice"]
        assert told == ["alice 0", "alice 1", "alice 2"]


async def test_what_is_dead_holds_nothing_up(post):
    async def refuse_the_first(one: Received) -> web.StreamResponse:
        return web.Response(status=500 if one.data["idempotencyKey"] == "user 0" else 200)

    async with receiving(refuse_the_first) as receiver:
        await post.endpoint(receiver.url())
        await post.tell(key="0")
        await post.tell(key="1")
        for count in range(1, len(RETRY_AFTER_S) + 1):
            await receiver.until(count)
            await eventually(lambda count=count: len(post.results) < count and "not stored")
            assert {one.data["idempotencyKey"] for one in receiver.got} == {"user 0"}
            post.clock.move(RETRY_AFTER_S[count - 1])
        await receiver.until(len(RETRY_AFTER_S) + 2)
        assert receiver.got[-1].data["idempotencyKey"] == "user 1"


async def test_one_slow_endpoint_costs_the_others_nothing(posting):
    async with posting(replace(PACE, at_once=4), timeout_s=30.0) as post, receiving(hang) as slow, receiving() as quick:
        await post.endpoint(slow.url("/slow"), id="slow")
        endpoint = await post.endpoint(quick.url(), id="quick")
        for number in range(50):
            await post.tell(f"user{number}")
        await post.until_delivered(endpoint)
        assert len(quick.got) == 50
        assert (len(slow.got), slow.most_busy) == (4, 4)


async def test_410_disables_the_endpoint_loudly_and_what_it_misses_can_be_replayed(post, caplog):
    async with receiving(always(410)) as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell(key="0")
        await eventually(lambda: post.disabled != ["gone"] and "it is not disabled")
        assert "answered 410" in caplog.text
        assert (await post.ledger.webhooks.endpoint(endpoint.id)).disabled_reason == "gone"
        await post.tell(key="1")
        post.clock.move(DAY_S)
        states = {one.body.count(b"user 1"): one.state for one in await post.deliveries(endpoint)}
        assert states == {0: "pending", 1: "dead"}
        with pytest.raises(EndpointDisabled):
            await post.ledger.webhooks.replay(endpoint.id, from_ms=0, to_ms=START)
        assert len(receiver.got) == 1
        receiver.answer = no_content
        enabled = {"disabled_at_ms": None, "disabled_reason": None}
        await post.ledger.webhooks.change(endpoint.id, enabled)
        assert await post.ledger.webhooks.replay(endpoint.id, from_ms=0, to_ms=START) == 1
        await post.until_delivered(endpoint)
        assert [one.data["idempotencyKey"] for one in receiver.got] == ["user 0", "user 0", "user 1"]


async def test_an_endpoint_that_fails_for_five_days_is_disabled(post, caplog):
    async with receiving(always(503)) as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell(key="0")
        await post.until_settled(endpoint, 1)
        failing = await post.ledger.webhooks.endpoint(endpoint.id)
        assert (failing.failing_since_ms, failing.disabled_at_ms) == (START, None)
        post.clock.move(5 * DAY_S - 1)
        await post.until_settled(endpoint, 2)
        assert post.disabled == []
        post.clock.move(RETRY_AFTER_S[1] + 1)
        await eventually(lambda: post.disabled != ["failing"] and "it is not disabled")
        assert "has failed for days" in caplog.text


async def test_a_success_ends_a_failing_time(post):
    async with receiving(always(500)) as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell()
        await post.until_settled(endpoint, 1)
        receiver.answer = no_content
        post.clock.move(RETRY_AFTER_S[0])
        await post.until_delivered(endpoint)
        assert (await post.ledger.webhooks.endpoint(endpoint.id)).failing_since_ms is None


async def test_a_secret_that_changes_in_between_signs_the_next_attempt(post):
    async with receiving(always(500)) as receiver:
        endpoint = await post.endpoint(receiver.url())
        await post.tell()
        await post.until_settled(endpoint, 1)
        new = new_secret()
        await post.ledger.webhooks.rotate(endpoint.id, new, old_until_ms=post.clock() + 60_000)
        for wait_s in RETRY_AFTER_S[:3]:
            attempts = len(receiver.got)
            post.clock.move(wait_s)
            await post.until_settled(endpoint, attempts + 1)
        signatures = [one.headers["webhook-signature"].count("v1,") for one in receiver.got]
        assert signatures == [1, 2, 2, 1], "both sign until the old one's time is over"


async def test_a_node_that_dies_between_sending_and_storing_leaves_it_to_the_next(posting):
    """It is sent again, with the same id, once the lease is over."""
    clock = Clock()
    async with receiving() as receiver:
        async with posting(clock=clock) as dying:
            endpoint = await dying.endpoint(receiver.url())
            dying.deliverer._store_finished = never  # the answer comes, and is never stored
            dying.deliverer.close = nothing
            await dying.tell()
            await receiver.until(1)
        async with posting(clock=clock) as heir:
            heir.deliverer.wake()
            await asyncio.sleep(0.2)
            assert len(receiver.got) == 1, "the lease is not over"
            clock.move(PACE.lease_s)
            await heir.until_delivered(endpoint)
            assert len({one.id for one in receiver.got}) == 1
            assert len(receiver.got) == 2


async def never() -> bool:
    await asyncio.Event().wait()
    return False


async def nothing() -> None: ...


async def test_a_node_that_stops_gives_back_what_it_has_not_sent(posting):
    async with receiving(hang) as receiver:
        async with posting(replace(PACE, close_within_s=0.1), timeout_s=30.0) as post:
            endpoint = await post.endpoint(receiver.url())
            await post.tell()
            await receiver.until(1)
        receiver.answer = no_content
        async with posting() as heir:
            await heir.until_delivered(endpoint)
            assert [one.id for one in receiver.got] == [receiver.got[0].id] * 2


async def test_two_deliverers_share_and_send_nothing_twice(posting):
    async with posting() as one, posting(node="other") as other, receiving() as receiver:
        endpoint = await one.endpoint(receiver.url())
        for number in range(60):
            await one.tell(f"user{number % 7}", str(number))
        await one.until_delivered(endpoint)
        assert len({got.id for got in receiver.got}) == len(receiver.got) == 60
        for user in range(7):
            numbers = [
                int(got.data["idempotencyKey"].split()[1]) for got in receiver.got if f"user{user}" in str(got.data)
            ]
            assert numbers == sorted(numbers)
        assert len(one.results) + len(other.results) == 60


@pytest.mark.timeout(180)
async def test_ten_thousand_that_wait_all_arrive_in_order(posting):
    """They wait because the receiver was not there; about 100 calls, 100 of each."""
    port = free_ports(1)
    async with posting(replace(PACE, poll_s=30.0)) as post:
        endpoint = await post.endpoint(f"http://127.0.0.1:{port}/hook", disabled_at_ms=START, disabled_reason="admin")
        await post.tell()
        copy = """
            INSERT INTO webhook_deliveries
                (id, endpoint_id, about, type, body, state, created_at_ms, next_attempt_at_ms)
            WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < 9999)
            SELECT 'msg_' || i, endpoint_id, 'call ' || (i % 100), type,
                '{"type":"wallet.adjusted","data":{"call":' || (i % 100) || ',"number":' || i || '}}', 'pending', i, 0
            FROM numbers, webhook_deliveries
        """
        await post.ledger._database.write(lambda tx: tx.execute(text(copy)) and None)
        async with receiving(port=port) as receiver:
            await post.ledger.webhooks.change(endpoint.id, {"disabled_at_ms": None, "disabled_reason": None})
            post.deliverer.wake()
            await receiver.until(10_000, within_s=150.0)
            await post.until_delivered(endpoint)
        assert len({one.id for one in receiver.got}) == len(receiver.got) == 10_000
        for call in range(100):
            numbers = [one.data["number"] for one in receiver.got if one.data["call"] == call]
            assert numbers == list(range(call, 10_000, 100))
