"""Webhooks as an admin makes them, and as a back end gets them from a whole node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.keys import WEBHOOKS
from app.webhooks.signing import new_secret
from tests.app.webhooks.receiver import Receiver, always, no_content, receiving
from tests.conftest import eventually, serving
from tests.integration.stage import Stage, staged
from voiceplane.client.errors import Refused

PATH = "/admin/webhooks"


@pytest.fixture
async def stage(settings_with) -> AsyncIterator[Stage]:
    async with staged(settings_with(webhook_allow_private=True)) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def made(stage: Stage, url: str, **fields: object) -> dict[str, object]:
    return await stage.admin.request("POST", PATH, {"url": url, **fields})


async def problem(stage: Stage, method: str, path: str, body: object = None) -> list[tuple[str, str]]:
    """What a refused request is told: the place, and what is wrong there."""
    with pytest.raises(Refused) as refused:
        await stage.admin.request(method, path, body)
    assert refused.value.status == 400
    return [(one["path"], one["problem"]) for one in refused.value.body["details"]]


async def refused(stage: Stage, method: str, path: str, body: object = None) -> tuple[int, str]:
    with pytest.raises(Refused) as error:
        await stage.admin.request(method, path, body)
    return error.value.status, error.value.code


async def test_a_back_end_follows_a_call(stage, receiver):
    webhook = await made(stage, receiver.url(), description="the back end")
    await stage.ring()
    await stage.accept()
    await stage.user.api.request("POST", "/calls/u_call/end", {"reason": "またね"})
    await eventually(lambda: not receiver.of_type("call.ended") and f"it was told {receiver.types()}")
    about = [one for one in receiver.got if one.data.get("callId") == "u_call"]
    assert [one.type for one in about] == ["call.ringing", "call.accepted", "call.ended"]
    for one in receiver.got:
        assert one.verified(webhook["secret"]) == one.message
    detail = await stage.admin.request("GET", "/calls/u_call")
    assert about[-1].data == {name: value for name, value in detail.items() if name != "media"}
    assert about[0].data["expiresAt"] > about[0].data["createdAt"]


async def test_the_secret_is_told_once(stage, receiver):
    webhook = await made(stage, receiver.url())
    assert webhook["secret"].startswith("whsec_")
    path = f"{PATH}/{webhook['webhookId']}"
    assert await stage.admin.request("GET", path) == {name: webhook[name] for name in webhook if name != "secret"}
    assert "secret" not in str(await stage.admin.request("GET", PATH))
    rotated = await stage.admin.request("POST", f"{path}/rotate")
    assert rotated["secret"] not in ("", webhook["secret"])
    await stage.admin.request("POST", f"{path}/test")
    [got] = await receiver.until(1)
    assert got.type == "webhook.test"
    assert got.verified(rotated["secret"]) == got.verified(webhook["secret"])


async def test_a_delivery_is_looked_at_and_tried_again(stage, receiver):
    receiver.answer = always(500, "no")
    webhook = await made(stage, receiver.url(), events=["wallet.adjusted"])
    path = f"{PATH}/{webhook['webhookId']}/deliveries"
    await stage.give("user", 1, "second")
    await receiver.until(1)

    async def the_only_one(**expected: object) -> dict[str, object]:
        async def why_not() -> object:
            [one] = (await stage.admin.request("GET", path))["deliveries"]
            return {name: one[name] for name in expected} != expected and one

        await eventually(why_not)
        return (await stage.admin.request("GET", path))["deliveries"][0]

    line = await the_only_one(status="pending", attempts=1, answerStatus=500, answer="no")
    assert line["nextAttemptAt"] > line["lastAttemptAt"] >= line["createdAt"]
    assert line["deliveryId"] == receiver.got[0].id
    whole = await stage.admin.request("GET", f"{PATH}/deliveries/{line['deliveryId']}")
    assert {**line, "body": receiver.got[0].body.decode()} == whole
    assert (await stage.admin.request("GET", f"{PATH}/{webhook['webhookId']}"))["failingSince"] is not None
    receiver.answer = no_content
    await stage.admin.request("POST", f"{PATH}/deliveries/{line['deliveryId']}/retry")
    await the_only_one(status="delivered", attempts=2)
    assert [one.id for one in receiver.got] == [line["deliveryId"]] * 2
    assert (await stage.admin.request("GET", f"{path}?status=pending"))["deliveries"] == []
    span = {"from": line["createdAt"], "to": line["createdAt"]}
    assert await stage.admin.request("POST", f"{PATH}/{webhook['webhookId']}/replay", span) == {"replayed": 1}
    await receiver.until(3)
    assert receiver.got[2].body == receiver.got[0].body


async def test_a_list_has_pages(stage, receiver):
    webhook = await made(stage, receiver.url(), events=["wallet.adjusted"])
    for number in range(5):
        await stage.give("user", 1, f"page-{number}")
    seen, cursor = [], ""
    while cursor is not None:
        page = await stage.admin.request("GET", f"{PATH}/{webhook['webhookId']}/deliveries?limit=2&cursor={cursor}")
        seen += [one["deliveryId"] for one in page["deliveries"]]
        cursor = page["nextCursor"]
    assert len(set(seen)) == len(seen) == 5


async def test_an_endpoint_is_changed_disabled_and_deleted(stage, receiver):
    webhook = await made(stage, receiver.url())
    path = f"{PATH}/{webhook['webhookId']}"
    changed = await stage.admin.request("PATCH", path, {"url": receiver.url("/other"), "events": ["call.missed"]})
    assert (changed["url"], changed["events"], changed["enabled"]) == (receiver.url("/other"), ["call.missed"], True)
    off = await stage.admin.request("PATCH", path, {"enabled": False})
    assert (off["enabled"], off["disabledReason"]) == (False, "admin")
    assert await refused(stage, "POST", f"{path}/test") == (409, "WEBHOOK_DISABLED")
    assert (await stage.admin.request("PATCH", path, {"enabled": True}))["enabled"]
    assert await stage.admin.request("DELETE", path) == {"deleted": True}
    assert await refused(stage, "GET", path) == (404, "WEBHOOK_NOT_FOUND")
    assert await refused(stage, "DELETE", path) == (404, "WEBHOOK_NOT_FOUND")
    assert await refused(stage, "POST", f"{PATH}/deliveries/msg_none/retry") == (404, "DELIVERY_NOT_FOUND")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://me:secret@backend.example/", "must hold no user and no password"),
        ("ftp://backend.example/", "must be an http:// or https:// URL with a host"),
        ("backend.example", "must be an http:// or https:// URL with a host"),
        ("https://backend.example/#x", "must have no fragment"),
        ("https://backend.example:99999/", "is not a URL"),
        ("http://127.0.0.1:80/", "leads to an address that is not public"),
        ("http://[::1]/", "leads to an address that is not public"),
        ("http://169.254.169.254/latest/meta-data/", "leads to an address that is not public"),
        ("http://localhost/", "leads to an address that is not public"),
        ("https://nobody.invalid/", "has a host that can't be found"),
    ],
)
async def test_a_url_that_may_not_be_is_refused_and_nothing_is_made(settings_with, url, why):
    async with staged(settings_with()) as stage:
        assert await problem(stage, "POST", PATH, {"url": url}) == [("url", why)]
        assert await stage.admin.request("GET", PATH) == {"webhooks": []}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://a.example/" + "a" * 2048}, "url"),
        ({"url": "https://a.example/", "events": []}, "events"),
        ({"url": "https://a.example/", "events": ["call.unheard"]}, "events.0"),
        ({"url": "https://a.example/", "events": ["webhook.test"]}, "events.0"),
        ({"url": "https://a.example/", "description": "x" * 201}, "description"),
        ({"url": "https://a.example/", "secret": "whsec_mine"}, "secret"),
    ],
)
async def test_a_bad_body_is_refused_with_the_place(stage, body, place):
    assert [path for path, _ in await problem(stage, "POST", PATH, body)] == [place]


@pytest.mark.parametrize(
    ("span", "place"),
    [
        ({"from": "2026-01-31T12:00:00.000Z", "to": "2026-01-31T11:59:59.999Z"}, "to"),
        ({"from": "2026-02-30T12:00:00.000Z", "to": "2026-03-01T00:00:00.000Z"}, "from"),
        ({"from": "yesterday", "to": "2026-03-01T00:00:00.000Z"}, "from"),
        ({"from": "2026-01-31T12:00:00.000Z"}, "to"),
    ],
)
async def test_a_span_that_can_not_be_is_refused(stage, receiver, span, place):
    webhook = await made(stage, receiver.url())
    path = f"{PATH}/{webhook['webhookId']}/replay"
    assert [found for found, _ in await problem(stage, "POST", path, span)] == [place]
    assert await problem(stage, "GET", f"{PATH}/{webhook['webhookId']}/deliveries?status=lost") == [
        ("status", "must be one of: pending, delivered, dead")
    ]


async def test_there_are_at_most_twenty(stage, receiver):
    tries = [made(stage, receiver.url(f"/{number}")) for number in range(100)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    refusals = [one for one in outcomes if isinstance(one, Refused)]
    assert {(one.status, one.code) for one in refusals} == {(409, "WEBHOOK_LIMIT_EXCEEDED")}
    assert len(refusals) == 80
    assert len((await stage.admin.request("GET", PATH))["webhooks"]) == 20


async def test_they_are_for_admins_alone(stage):
    for who in (stage.user, stage.otomo):
        for method, path in (
            ("GET", PATH),
            ("POST", PATH),
            ("GET", f"{PATH}/deliveries/msg"),
            ("DELETE", f"{PATH}/we"),
        ):
            assert await who.refused(method, path, {"url": "https://a.example/"}) == (403, "FORBIDDEN")


async def test_the_settings_make_one_that_only_they_change(settings_with, receiver):
    secret = new_secret()
    given = {"webhook_url": receiver.url(), "webhook_secret": secret, "webhook_allow_private": True}
    async with staged(settings_with(**given)) as stage:
        [webhook] = (await stage.admin.request("GET", PATH))["webhooks"]
        assert (webhook["webhookId"], webhook["url"], webhook["fromSettings"]) == ("settings", receiver.url(), True)
        [got, *_] = await receiver.until(1)
        assert got.verified(secret)["type"] in ("wallet.adjusted", "otomo.status")
        for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
            body = {"enabled": False} if method == "PATCH" else None
            code = await refused(stage, method, f"{PATH}/settings{path}", body)
            assert code == (409, "WEBHOOK_FROM_SETTINGS")
    async with staged(settings_with()) as stage:
        [webhook] = (await stage.admin.request("GET", PATH))["webhooks"]
        assert (webhook["enabled"], webhook["disabledReason"]) == (False, "unset")


async def test_calls_that_a_stopping_node_ends_are_told_of(settings_with, receiver):
    async with serving(settings_with(webhook_allow_private=True)) as server:
        registration = server.app[WEBHOOKS].registration
        await registration.add(receiver.url(), ("call.ended",), "")
        await server.calls.open_matched("user", "otomo", "call")
    [told] = await receiver.until(1)
    assert (told.data["callId"], told.data["endReason"]) == ("call", "system_error")
