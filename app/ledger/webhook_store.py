"""Webhooks in the ledger: endpoints, and the deliveries to them. Each method is one transaction, or says that it is
several. Any may raise LedgerUnavailable, and may then be called again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from app.ledger import deliveries, webhook_endpoints
from app.ledger.database import Database
from app.ledger.deliveries import AT_ONCE_MOST, Delivery, Outcome, Taken
from app.ledger.values import Page
from app.ledger.webhook_endpoints import Endpoint
from schemas.webhook import DeliveryStatus

FAILS_FOR_MS = 5 * 24 * 60 * 60 * 1000  # after which an endpoint is disabled


class WebhookStore:
    """A part of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def anything_wanted(self) -> bool:
        """Whether, as far as this process has seen, there are endpoints."""
        return bool(self._database.subscriptions.subscribers)

    # Endpoints

    async def add(self, endpoint: Endpoint) -> Endpoint:
        """Raises TooManyEndpoints."""
        return await self._database.write(webhook_endpoints.add, endpoint)

    async def endpoint(self, endpoint_id: str) -> Endpoint:
        """Raises UnknownEndpoint."""
        return await self._database.read(webhook_endpoints.endpoint, endpoint_id)

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them, in the order of their making."""
        return await self._database.read(webhook_endpoints.every)

    async def change(self, endpoint_id: str, values: Mapping[str, Any]) -> Endpoint:
        """Set some of its fields. Raises UnknownEndpoint, EndpointFromSettings."""
        return await self._database.write(webhook_endpoints.change, endpoint_id, values)

    async def rotate(self, endpoint_id: str, secret: str, *, old_until_ms: int) -> Endpoint:
        """Give it another secret. Raises UnknownEndpoint, EndpointFromSettings."""
        return await self._database.write(webhook_endpoints.rotate, endpoint_id, secret, old_until_ms)

    async def remove(self, endpoint_id: str, *, at_ms: int) -> None:
        """Delete an endpoint, and then its deliveries, in several transactions. Raises UnknownEndpoint,
        EndpointFromSettings."""
        await self._database.write(webhook_endpoints.mark_deleted, endpoint_id, at_ms)
        await self._delete_of(endpoint_id)

    async def follow_settings(self, url: str | None, secret: str | None, *, now_ms: int, old_lives_ms: int) -> None:
        """Make the endpoint of the settings, or change it; where they name none, disable it."""
        await self._database.write(webhook_endpoints.follow_settings, url, secret, now_ms, old_lives_ms)

    # Sending

    async def take(
        self, under_way: Mapping[str, int], at_once: int, *, now_ms: int, lease_ms: int
    ) -> tuple[Taken, ...]:
        """Some deliveries that are due, which no other node takes for ``lease_ms``; for each endpoint at most
        ``at_once`` less what is under way to it."""
        return await self._database.write(deliveries.take, under_way, at_once, now_ms, lease_ms)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[str | None]:
        """Store what became of attempts. Returns, for each, why its endpoint has been disabled by it, if it was."""
        return await self._database.write(deliveries.finish, outcomes, FAILS_FOR_MS)

    async def give_back(self, ids: Collection[str]) -> None:
        """Deliveries that were taken and not sent are due at once."""
        await self._database.write(deliveries.give_back, ids)

    # Looking, and trying again

    async def deliveries(
        self, endpoint_id: str, state: DeliveryStatus | None, *, limit: int, cursor: str | None
    ) -> Page[Delivery]:
        """Newest first. Raises UnknownEndpoint, BadCursor."""
        return await self._database.read(deliveries.deliveries, endpoint_id, state, limit, cursor)

    async def delivery(self, delivery_id: str) -> Delivery:
        """Raises UnknownDelivery."""
        return await self._database.read(deliveries.delivery, delivery_id)

    async def waiting(self) -> Mapping[str, int]:
        """How many deliveries are pending, by endpoint."""
        return await self._database.read(deliveries.waiting)

    async def retry(self, delivery_id: str) -> Delivery:
        """Make it due at once. Raises UnknownDelivery, EndpointDisabled."""
        return await self._database.write(deliveries.retry, delivery_id)

    async def replay(self, endpoint_id: str, *, from_ms: int, to_ms: int) -> int:
        """Make everything of that time due again, in several transactions; returns how many. Raises UnknownEndpoint,
        EndpointDisabled."""
        count, last, after = 0, AT_ONCE_MOST, (from_ms, "")
        while last == AT_ONCE_MOST:
            last, after = await self._database.write(deliveries.replay, endpoint_id, after, to_ms)
            count += last
        return count

    async def add_test(self, endpoint_id: str, *, at_ms: int) -> Delivery:
        """A delivery that tells of nothing. Raises UnknownEndpoint, EndpointDisabled."""
        return await self._database.write(deliveries.add_test, endpoint_id, at_ms)

    # Forgetting

    async def prune(self, *, delivered_before_ms: int, others_before_ms: int) -> int:
        """Delete older deliveries, and those of endpoints that are deleted, in several transactions; returns how
        many."""
        count = 0
        for endpoint_id in await self._database.read(webhook_endpoints.deleted):
            count += await self._delete_of(endpoint_id)
        before: dict[DeliveryStatus, int] = {"delivered": delivered_before_ms, "dead": others_before_ms}
        for state, before_ms in (*before.items(), ("pending", others_before_ms)):
            last = AT_ONCE_MOST
            while last == AT_ONCE_MOST:
                last = await self._database.write(deliveries.delete_before, state, before_ms)
                count += last
        return count

    async def _delete_of(self, endpoint_id: str) -> int:
        count = last = await self._database.write(deliveries.delete_of, endpoint_id)
        while last == AT_ONCE_MOST:
            last = await self._database.write(deliveries.delete_of, endpoint_id)
            count += last
        return count
