"""Webhook endpoints as rows: made, changed, deleted, and followed from the settings."""

from __future__ import annotations

import asyncio

import pytest

from app.ledger import Ledger
from app.ledger.errors import EndpointFromSettings, TooManyEndpoints, UnknownEndpoint
from app.ledger.webhook_endpoints import FROM_SETTINGS, MOST, Endpoint
from tests.app.ledger.ledger_samples import START, credit
from tests.app.ledger.webhook_samples import add_endpoint, new_endpoint, stored

DAY_MS = 24 * 60 * 60 * 1000


async def follow(ledger: Ledger, url: str | None, secret: str | None, now_ms: int = START) -> Endpoint | None:
    await ledger.webhooks.follow_settings(url, secret, now_ms=now_ms, old_lives_ms=DAY_MS)
    return next((one for one in await ledger.webhooks.endpoints() if one.id == FROM_SETTINGS), None)


async def test_what_is_added_is_read_as_it_was_given(ledger: Ledger) -> None:
    given = [new_endpoint("one", types=("call.ended",), description="鈴"), new_endpoint("two", created_at_ms=START + 1)]
    for one in given:
        assert await ledger.webhooks.add(one) == one
    assert await ledger.webhooks.endpoints() == tuple(given)
    assert await ledger.webhooks.endpoint("one") == given[0]


async def test_what_is_not_there_is_unknown(ledger: Ledger) -> None:
    webhooks = ledger.webhooks
    for asked in (
        lambda: webhooks.endpoint("none"),
        lambda: webhooks.change("none", {"url": "https://a.example/"}),
        lambda: webhooks.rotate("none", "whsec_b", old_until_ms=0),
        lambda: webhooks.remove("none", at_ms=0),
        lambda: webhooks.deliveries("none", None, limit=1, cursor=None),
        lambda: webhooks.replay("none", from_ms=0, to_ms=1),
        lambda: webhooks.add_test("none", at_ms=0),
    ):
        with pytest.raises(UnknownEndpoint):
            await asked()


async def test_there_are_never_more_than_there_may_be(ledger: Ledger, other: Ledger) -> None:
    tries = [add_endpoint((ledger, other)[number % 2], f"we{number}") for number in range(MOST + 10)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, TooManyEndpoints) for one in outcomes) == 10
    assert len(await ledger.webhooks.endpoints()) == MOST
    await ledger.webhooks.remove((await ledger.webhooks.endpoints())[0].id, at_ms=START)
    await add_endpoint(ledger, "another")


async def test_a_change_leaves_the_rest_as_it_is(ledger: Ledger) -> None:
    before = await add_endpoint(ledger, types=("call.ended",))
    changed = await ledger.webhooks.change("we", {"url": "https://other.example/", "types": ("call.missed",)})
    assert (changed.url, changed.types) == ("https://other.example/", ("call.missed",))
    assert (changed.secret, changed.description) == (before.secret, before.description)
    assert await ledger.webhooks.change("we", {}) == changed


async def test_two_secrets_sign_while_one_replaces_the_other(ledger: Ledger) -> None:
    before = await add_endpoint(ledger)
    rotated = await ledger.webhooks.rotate("we", "whsec_new", old_until_ms=START + 1000)
    assert rotated.secrets_at(START + 999) == ("whsec_new", before.secret)
    assert rotated.secrets_at(START + 1000) == ("whsec_new",)


async def test_a_deleted_endpoint_is_gone_with_its_deliveries(ledger: Ledger) -> None:
    await add_endpoint(ledger)
    await credit(ledger, 1)
    [delivery] = await stored(ledger)
    await ledger.webhooks.remove("we", at_ms=START)
    assert await ledger.webhooks.endpoints() == ()
    with pytest.raises(UnknownEndpoint):
        await ledger.webhooks.remove("we", at_ms=START)
    await credit(ledger, 1, key="later")
    assert await ledger.webhooks.waiting() == {}
    await add_endpoint(ledger)
    assert await stored(ledger) == [], delivery


async def test_the_settings_make_one_and_change_it(ledger: Ledger) -> None:
    made = await follow(ledger, "https://a.example/", "whsec_a")
    assert made is not None
    assert (made.url, made.secret, made.from_settings, made.types) == ("https://a.example/", "whsec_a", True, None)
    assert await follow(ledger, "https://a.example/", "whsec_a", START + 1) == made
    moved = await follow(ledger, "https://b.example/", "whsec_b", START + 2)
    assert moved is not None
    assert (moved.url, moved.secrets_at(START + 3)) == ("https://b.example/", ("whsec_b", "whsec_a"))
    assert moved.old_secret_until_ms == START + 2 + DAY_MS


async def test_what_the_settings_say_is_changed_there_alone(ledger: Ledger) -> None:
    await follow(ledger, "https://a.example/", "whsec_a")
    for asked in (
        lambda: ledger.webhooks.change(FROM_SETTINGS, {"url": "https://b.example/"}),
        lambda: ledger.webhooks.rotate(FROM_SETTINGS, "whsec_b", old_until_ms=0),
        lambda: ledger.webhooks.remove(FROM_SETTINGS, at_ms=0),
    ):
        with pytest.raises(EndpointFromSettings):
            await asked()


async def test_without_it_in_the_settings_it_rests_and_can_be_deleted(ledger: Ledger) -> None:
    await follow(ledger, "https://a.example/", "whsec_a")
    resting = await follow(ledger, None, None)
    assert resting is not None
    assert resting.disabled_reason == "unset"
    again = await follow(ledger, "https://a.example/", "whsec_a")
    assert again is not None
    assert again.disabled_reason is None
    await follow(ledger, None, None)
    await ledger.webhooks.remove(FROM_SETTINGS, at_ms=START)
    assert await follow(ledger, None, None) is None
    assert await follow(ledger, "https://a.example/", "whsec_a") is not None


async def test_nodes_that_start_together_make_it_once(ledger: Ledger, other: Ledger) -> None:
    await asyncio.gather(*(follow((ledger, other)[number % 2], "https://a.example/", "whsec_a") for number in range(8)))
    assert len(await ledger.webhooks.endpoints()) == 1
