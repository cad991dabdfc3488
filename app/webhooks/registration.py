"""What an admin does with endpoints: make one, change it, give it a new secret, send it a test, replay."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from app import urls
from app.clock import now
from app.errors import BadRequest
from app.ledger.deliveries import Delivery
from app.ledger.webhook_endpoints import ENABLED, Endpoint, disabled
from app.ledger.webhook_store import WebhookStore
from app.webhooks.deliverer import Deliverer
from app.webhooks.signing import new_secret
from app.webhooks.targets import AddressRefused, Resolver
from schemas.webhook_events import WebhookType

OLD_SECRET_LIVES_MS = 24 * 60 * 60 * 1000  # after a change of secrets


class Registration:
    """Errors are those of the ledger, and BadRequest for a URL that may not be."""

    def __init__(self, store: WebhookStore, resolver: Resolver, deliverer: Deliverer) -> None:
        self.store = store
        self._resolver = resolver
        self._deliverer = deliverer

    async def add(self, url: str, types: tuple[WebhookType, ...] | None, description: str) -> Endpoint:
        made = Endpoint(
            id=f"we_{secrets.token_hex(12)}",
            url=await self._usable(url),
            secret=new_secret(),
            created_at_ms=now().utc_ms,
            types=types,
            description=description,
        )
        return await self.store.add(made)

    async def change(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        types: tuple[WebhookType, ...] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """What is None stays as it is."""
        given: Mapping[str, Any] = {"url": url, "types": types, "description": description}
        values = {name: value for name, value in given.items() if value is not None}
        if url is not None:
            values["url"] = await self._usable(url)
        if enabled is not None:
            values |= ENABLED if enabled else disabled("admin", now().utc_ms)
        changed = await self.store.change(endpoint_id, values)
        self._deliverer.wake()
        return changed

    async def rotate(self, endpoint_id: str) -> Endpoint:
        """A new secret. The one before it signs, too, for a day, so that a receiver has time to learn the new one."""
        until_ms = now().utc_ms + OLD_SECRET_LIVES_MS
        return await self.store.rotate(endpoint_id, new_secret(), old_until_ms=until_ms)

    async def remove(self, endpoint_id: str) -> None:
        await self.store.remove(endpoint_id, at_ms=now().utc_ms)

    async def test(self, endpoint_id: str) -> Delivery:
        added = await self.store.add_test(endpoint_id, at_ms=now().utc_ms)
        self._deliverer.wake()
        return added

    async def retry(self, delivery_id: str) -> Delivery:
        again = await self.store.retry(delivery_id)
        self._deliverer.wake()
        return again

    async def replay(self, endpoint_id: str, from_ms: int, to_ms: int) -> int:
        count = await self.store.replay(endpoint_id, from_ms=from_ms, to_ms=to_ms)
        self._deliverer.wake()
        return count

    async def _usable(self, text: str) -> str:
        """The URL in its one spelling. Raises BadRequest."""
        if problem := urls.fault(text):
            raise BadRequest.at("url", problem)
        url = urls.spelled(text)
        try:
            await self._resolver.check_url(url)
        except AddressRefused as error:
            raise BadRequest.at("url", "leads to an address that is not public") from error
        except (OSError, ValueError) as error:
            raise BadRequest.at("url", "has a host that can't be found") from error
        return url
