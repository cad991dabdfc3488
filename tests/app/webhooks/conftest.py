"""A ledger on SQLite, and what sends its deliveries, with a clock that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.ledger import Ledger
from app.ledger.deliveries import Delivery
from app.ledger.webhook_endpoints import Endpoint
from app.tasks import Tasks
from app.webhooks.deliverer import Deliverer, Pace
from app.webhooks.sender import Sender
from app.webhooks.signing import new_secret
from app.webhooks.targets import Resolver
from tests.app.ledger.ledger_samples import NODE, START, credit
from tests.conftest import eventually

PACE = Pace(poll_s=0.05, idle_s=0.001, store_again_s=0.05)


@dataclass
class Clock:
    ms: int = START

    def __call__(self) -> int:
        return self.ms

    def move(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


@dataclass
class Post:
    """One node's deliverer, on a ledger."""

    ledger: Ledger
    deliverer: Deliverer
    clock: Clock
    results: list[str]
    disabled: list[str]

    async def endpoint(self, url: str, **fields: Any) -> Endpoint:
        fields = {"id": f"we_{url[-8:]}", "created_at_ms": START, "secret": new_secret(), **fields}
        return await self.ledger.webhooks.add(Endpoint(url=url, **fields))

    async def tell(self, user_id: str = "user", key: str = "first", amount: int = 1) -> None:
        """Something happens that endpoints are told of: ``wallet.adjusted``, in the order of each user's."""
        await credit(self.ledger, amount, user_id, key)
        self.deliverer.committed()

    async def deliveries(self, endpoint: Endpoint) -> list[Delivery]:
        """Oldest first."""
        page = await self.ledger.webhooks.deliveries(endpoint.id, None, limit=200, cursor=None)
        return sorted(page.items, key=lambda one: one.created_at_ms)

    async def until_settled(self, endpoint: Endpoint, attempts: int, within_s: float = 10.0) -> Delivery:
        """The endpoint's only delivery, once so many attempts at it are stored."""

        async def why_not() -> str | None:
            [one] = await self.deliveries(endpoint)
            return None if one.attempts == attempts else f"there were {one.attempts} attempts: {one.answer}"

        await eventually(why_not, within_s)
        [one] = await self.deliveries(endpoint)
        return one

    async def until_delivered(self, endpoint: Endpoint, within_s: float = 10.0) -> None:
        async def why_not() -> object:
            page = await self.ledger.webhooks.deliveries(endpoint.id, "pending", limit=200, cursor=None)
            return [(one.type, one.attempts, one.answer) for one in page.items]

        await eventually(why_not, within_s)


PostFactory = Callable[..., AbstractAsyncContextManager[Post]]


@pytest.fixture
def posting(tmp_path: Path) -> PostFactory:
    @asynccontextmanager
    async def make(
        pace: Pace = PACE, clock: Clock | None = None, timeout_s: float = 5.0, node: str = NODE
    ) -> AsyncIterator[Post]:
        """Each makes a node of its own on the same database; ``timeout_s`` is the receiver's."""
        clock, background = clock or Clock(), Tasks()
        async with (
            Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite", node=node) as ledger,
            Sender.open(Resolver(allow_private=True), "tests", timeout_s=timeout_s) as sender,
        ):
            deliverer = Deliverer(ledger.webhooks, sender, pace, clock)
            post = Post(ledger, deliverer, clock, [], [])
            deliverer.on_attempt(lambda result, _: post.results.append(result))
            deliverer.on_disabled(post.disabled.append)
            background.keep(deliverer.run, "deliverer")
            background.keep(deliverer.store, "outcomes")
            try:
                yield post
            finally:
                await background.close()
                await deliverer.close()

    return make


@pytest.fixture
async def post(posting: PostFactory) -> AsyncIterator[Post]:
    async with posting() as made:
        yield made
