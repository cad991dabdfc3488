"""A node's part in webhooks: what sends them, and what admins do with their endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.clock import now
from app.ledger.webhook_store import WebhookStore
from app.settings import Settings
from app.tasks import Tasks
from app.webhooks.deliverer import Deliverer
from app.webhooks.registration import OLD_SECRET_LIVES_MS, Registration
from app.webhooks.sender import Sender
from app.webhooks.standing import Standing
from app.webhooks.targets import Resolver


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Made by :meth:`running`."""

    store: WebhookStore
    deliverer: Deliverer
    registration: Registration
    standing: Standing

    @classmethod
    @asynccontextmanager
    async def running(cls, store: WebhookStore, settings: Settings, user_agent: str) -> AsyncIterator[Webhooks]:
        """Send what is due, and make the endpoint of the settings what they say. Raises LedgerUnavailable."""
        await store.follow_settings(
            settings.webhook_url, settings.webhook_secret, now_ms=now().utc_ms, old_lives_ms=OLD_SECRET_LIVES_MS
        )
        resolver, background = Resolver(allow_private=settings.webhook_allow_private), Tasks()
        async with Sender.open(resolver, user_agent) as sender:
            deliverer = Deliverer(store, sender)
            standing = Standing(store)
            background.keep(standing.run, "standing of webhooks")
            background.keep(deliverer.run, "webhook deliveries")
            background.keep(deliverer.store, "outcomes of webhook deliveries")
            try:
                yield cls(store, deliverer, Registration(store, resolver, deliverer), standing)
            finally:
                await background.close()
                await deliverer.close()
