"""Webhook endpoints for the ledger's tests."""

from __future__ import annotations

from typing import Any

from msgspec import json

from app.ledger import Ledger
from app.ledger.deliveries import Delivery
from app.ledger.webhook_endpoints import Endpoint
from schemas.webhook_events import ALL
from tests.app.ledger.ledger_samples import START

EVERYTHING = tuple(sorted(ALL))


def new_endpoint(endpoint_id: str = "we", **fields: Any) -> Endpoint:
    made = {"url": f"https://{endpoint_id}.example/", "secret": "whsec_secret", "created_at_ms": START, **fields}
    return Endpoint(id=endpoint_id, **made)


async def add_endpoint(ledger: Ledger, endpoint_id: str = "we", **fields: Any) -> Endpoint:
    return await ledger.webhooks.add(new_endpoint(endpoint_id, **fields))


async def stored(ledger: Ledger, endpoint_id: str = "we") -> list[Delivery]:
    """In the order in which they go out."""
    page = await ledger.webhooks.deliveries(endpoint_id, None, limit=200, cursor=None)
    order = await ledger._database.read(lambda tx: list(tx.exec_driver_sql(ORDER).scalars()))
    return sorted(page.items, key=lambda one: order.index(one.id))


async def types(ledger: Ledger, endpoint_id: str = "we") -> list[str]:
    return [one.type for one in await stored(ledger, endpoint_id)]


async def data(ledger: Ledger, type_: str, endpoint_id: str = "we") -> list[dict[str, Any]]:
    return [json.decode(one.body)["data"] for one in await stored(ledger, endpoint_id) if one.type == type_]


ORDER = "SELECT id FROM webhook_deliveries ORDER BY number"
