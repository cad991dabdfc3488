"""Endpoints of webhooks, for admins: where a back end is told of calls, and what became of each delivery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast, get_args

from aiohttp import web

from app.errors import BadRequest
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import created, json_response
from app.keys import WEBHOOKS
from app.ledger.deliveries import Delivery
from app.ledger.errors import (
    EndpointDisabled,
    EndpointFromSettings,
    LedgerUnavailable,
    TooManyEndpoints,
    UnknownDelivery,
    UnknownEndpoint,
)
from app.ledger.outbox import AT_ONCE
from app.ledger.subscriptions import wanted_types
from app.ledger.webhook_endpoints import Endpoint
from app.openapi.declaration import Parameter, answers
from app.rest.audit import note
from app.rest.pages import PAGE, page_query
from schemas.base import given
from schemas.types import iso, iso_or_none
from schemas.webhook import (
    DeliveryBody,
    DeliveryLine,
    DeliveryList,
    DeliveryStatus,
    Replayed,
    ReplayRequest,
    WebhookBody,
    WebhookChange,
    WebhookCreated,
    WebhookDeleted,
    WebhookList,
    WebhookRequest,
)

STATUS = Parameter("status", DeliveryStatus, "only those; all where none is given")
OF_AN_ENDPOINT = (UnknownEndpoint, LedgerUnavailable)

routes = web.RouteTableDef()


@routes.post("/admin/webhooks")
@answers({201: WebhookCreated}, TooManyEndpoints, LedgerUnavailable)
@body(WebhookRequest)
@admin_only
async def create_webhook(request: web.Request, body: WebhookRequest) -> web.Response:
    """Have a back end told of calls, at a URL. The answer has the secret that signs the deliveries, this once.

    Without `events` it is told of everything but `call.charged` and `call.silent`. Its host must have public addresses
    only.
    """
    await note(request, "webhook.create", url=body.url)
    made = await request.app[WEBHOOKS].registration.add(body.url, given(body.events), given(body.description) or "")
    return created(with_secret(made))


@routes.get("/admin/webhooks")
@answers({200: WebhookList}, LedgerUnavailable)
@admin_only
async def list_webhooks(request: web.Request) -> web.Response:
    """All webhooks, in the order of their making."""
    return json_response(WebhookList(tuple(map(webhook_body, await request.app[WEBHOOKS].store.endpoints()))))


@routes.get("/admin/webhooks/{webhook_id}")
@answers({200: WebhookBody}, *OF_AN_ENDPOINT)
@admin_only
async def get_webhook(request: web.Request) -> web.Response:
    """One webhook, without its secret."""
    return json_response(webhook_body(await request.app[WEBHOOKS].store.endpoint(request.match_info["webhook_id"])))


@routes.patch("/admin/webhooks/{webhook_id}")
@answers({200: WebhookBody}, EndpointFromSettings, *OF_AN_ENDPOINT)
@body(WebhookChange)
@admin_only
async def change_webhook(request: web.Request, body: WebhookChange) -> web.Response:
    """Change a webhook; what is left out stays. `enabled` true uses one again that was disabled."""
    webhook_id = await known_id(request)
    await note(request, "webhook.change", subject=webhook_id, url=given(body.url), enabled=given(body.enabled))
    changed = await request.app[WEBHOOKS].registration.change(
        webhook_id,
        url=given(body.url),
        types=given(body.events),
        description=given(body.description),
        enabled=given(body.enabled),
    )
    return json_response(webhook_body(changed))


@routes.delete("/admin/webhooks/{webhook_id}")
@answers({200: WebhookDeleted}, EndpointFromSettings, *OF_AN_ENDPOINT)
@admin_only
async def delete_webhook(request: web.Request) -> web.Response:
    """Delete a webhook, with its deliveries."""
    webhook_id = await known_id(request)
    await note(request, "webhook.delete", subject=webhook_id)
    await request.app[WEBHOOKS].registration.remove(webhook_id)
    return json_response(WebhookDeleted())


@routes.post("/admin/webhooks/{webhook_id}/rotate")
@answers({200: WebhookCreated}, EndpointFromSettings, *OF_AN_ENDPOINT)
@admin_only
async def rotate_secret(request: web.Request) -> web.Response:
    """Give a webhook another secret, which is in the answer. For 24 h the one before it signs every delivery, too."""
    webhook_id = await known_id(request)
    await note(request, "webhook.rotate", subject=webhook_id)
    return json_response(with_secret(await request.app[WEBHOOKS].registration.rotate(webhook_id)))


@routes.post("/admin/webhooks/{webhook_id}/test")
@answers({201: DeliveryBody}, EndpointDisabled, *OF_AN_ENDPOINT)
@admin_only
async def test_webhook(request: web.Request) -> web.Response:
    """Send a delivery of the type `webhook.test`. What became of it is in the list of deliveries a moment later."""
    return created(delivery_body(await request.app[WEBHOOKS].registration.test(request.match_info["webhook_id"])))


@routes.get("/admin/webhooks/{webhook_id}/deliveries")
@answers({200: DeliveryList}, *OF_AN_ENDPOINT, query=(STATUS, *PAGE))
@admin_only
async def list_deliveries(request: web.Request) -> web.Response:
    """The deliveries to a webhook, newest first."""
    query = page_query(request)
    page = await request.app[WEBHOOKS].store.deliveries(
        request.match_info["webhook_id"], status_of(request), limit=query.limit, cursor=query.cursor
    )
    return json_response(DeliveryList(tuple(DeliveryLine(**line_fields(one)) for one in page.items), page.next_cursor))


@routes.get("/admin/webhooks/deliveries/{delivery_id}")
@answers({200: DeliveryBody}, UnknownDelivery, LedgerUnavailable)
@admin_only
async def get_delivery(request: web.Request) -> web.Response:
    """One delivery with the body that is sent."""
    return json_response(delivery_body(await request.app[WEBHOOKS].store.delivery(request.match_info["delivery_id"])))


@routes.post("/admin/webhooks/deliveries/{delivery_id}/retry")
@answers({200: DeliveryBody}, UnknownDelivery, EndpointDisabled, LedgerUnavailable)
@admin_only
async def retry_delivery(request: web.Request) -> web.Response:
    """Send a delivery now, whatever became of it before, with the same `webhook-id`."""
    again = await request.app[WEBHOOKS].registration.retry(request.match_info["delivery_id"])
    return json_response(delivery_body(again))


@routes.post("/admin/webhooks/{webhook_id}/replay")
@answers({200: Replayed}, EndpointDisabled, *OF_AN_ENDPOINT)
@body(ReplayRequest)
@admin_only
async def replay_deliveries(request: web.Request, body: ReplayRequest) -> web.Response:
    """Send everything of a span of time again, with the same `webhook-id`s: what arrived, and what did not."""
    from_ms, to_ms = moment_ms("from", body.since), moment_ms("to", body.until)
    if from_ms > to_ms:
        raise BadRequest.at("to", "must not be before from")
    webhook_id = await known_id(request)
    await note(request, "webhook.replay", subject=webhook_id, since=body.since, until=body.until)
    count = await request.app[WEBHOOKS].registration.replay(webhook_id, from_ms, to_ms)
    return json_response(Replayed(count))


async def known_id(request: web.Request) -> str:
    """The id in the path. Raises UnknownEndpoint."""
    return (await request.app[WEBHOOKS].store.endpoint(request.match_info["webhook_id"])).id


def status_of(request: web.Request) -> DeliveryStatus | None:
    """Raises BadRequest."""
    status = request.query.get("status")
    if status is not None and status not in get_args(DeliveryStatus):
        raise BadRequest.at("status", f"must be one of: {', '.join(get_args(DeliveryStatus))}")
    return cast("DeliveryStatus | None", status)


def moment_ms(path: str, text: str) -> int:
    """UTC in milliseconds. Raises BadRequest where the calendar has no such moment."""
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadRequest.at(path, "is no moment of the calendar") from error
    return round(at.timestamp() * 1000)


def endpoint_fields(one: Endpoint) -> dict[str, Any]:
    return {
        "webhook_id": one.id,
        "url": one.url,
        "events": tuple(sorted(wanted_types(one.types))),
        "description": one.description,
        "enabled": one.disabled_at_ms is None,
        "disabled_reason": one.disabled_reason,
        "disabled_at": iso_or_none(one.disabled_at_ms),
        "failing_since": iso_or_none(one.failing_since_ms),
        "from_settings": one.from_settings,
        "created_at": iso(one.created_at_ms),
    }


def webhook_body(one: Endpoint) -> WebhookBody:
    return WebhookBody(**endpoint_fields(one))


def with_secret(one: Endpoint) -> WebhookCreated:
    return WebhookCreated(**endpoint_fields(one), secret=one.secret)


def line_fields(one: Delivery) -> dict[str, Any]:
    waits = one.state == "pending" and one.next_attempt_at_ms != AT_ONCE
    return {
        "delivery_id": one.id,
        "webhook_id": one.endpoint_id,
        "type": one.type,
        "call_id": one.call_id,
        "status": one.state,
        "attempts": one.attempts,
        "created_at": iso(one.created_at_ms),
        "next_attempt_at": iso(one.next_attempt_at_ms) if waits else None,
        "last_attempt_at": iso_or_none(one.last_attempt_at_ms),
        "took_ms": one.took_ms,
        "answer_status": one.status,
        "answer": one.answer,
    }


def delivery_body(one: Delivery) -> DeliveryBody:
    return DeliveryBody(**line_fields(one), body=one.body.decode())
