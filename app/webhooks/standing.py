"""How webhooks stand, over all nodes: read now and then, for whoever shows it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Literal

from app.ledger.errors import LedgerUnavailable
from app.ledger.webhook_endpoints import Endpoint
from app.ledger.webhook_store import WebhookStore

EVERY_S = 5.0

EndpointState = Literal["well", "failing", "disabled"]

logger = logging.getLogger(__name__)


class Standing:
    """``endpoints`` counts them by state; ``waiting`` are the pending deliveries to those that are not disabled."""

    def __init__(self, store: WebhookStore) -> None:
        self._store = store
        self.endpoints: Counter[EndpointState] = Counter()
        self.waiting = 0

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except LedgerUnavailable as error:
                logger.warning("webhooks can't be counted now: %s", error)
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        endpoints = await self._store.endpoints()
        waiting = await self._store.waiting() if endpoints else {}
        self.endpoints = Counter(map(state_of, endpoints))
        self.waiting = sum(waiting.get(one.id, 0) for one in endpoints if one.disabled_at_ms is None)


def state_of(endpoint: Endpoint) -> EndpointState:
    if endpoint.disabled_at_ms is not None:
        return "disabled"
    return "failing" if endpoint.failing_since_ms is not None else "well"
