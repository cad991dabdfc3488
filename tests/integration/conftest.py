"""Open calls and REST clients on a running node. Every test has its own users and its own call."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import pytest

from app.settings import Settings
from tests.integration.paid_calls import PRICE, TIMERS, MakeSettings
from tests.integration.stage import Stage, staged
from voiceplane.client.api import Api


@dataclass(frozen=True)
class OpenCall:
    """A call in `matched`, and the REST client of everybody who may touch it."""

    call_id: str
    user_id: str
    otomo_id: str
    admin: Api
    user: Api
    otomo: Api


OpenCallFactory = Callable[[], Awaitable[OpenCall]]


async def open_call_on(server: Any, http: aiohttp.ClientSession) -> OpenCall:
    """A free call between strangers."""
    mark = secrets.token_hex(4)
    user_id, otomo_id = f"user-{mark}", f"otomo-{mark}"
    admin = Api(http, server.base, server.token("root", "admin"))
    call_id = await admin.open_call(f"call-{mark}", user_id, otomo_id, price_per_minute=0)
    return OpenCall(
        call_id=call_id,
        user_id=user_id,
        otomo_id=otomo_id,
        admin=admin,
        user=Api(http, server.base, server.token(user_id, "user")),
        otomo=Api(http, server.base, server.token(otomo_id, "otomo")),
    )


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def open_call(server: Any, http: aiohttp.ClientSession) -> OpenCallFactory:
    return partial(open_call_on, server, http)


@pytest.fixture
async def stage(settings_with) -> AsyncIterator[Stage]:
    async with staged(settings_with(rate_limit=0, call_attempts_per_minute=0, call_attempts_per_pair=0)) as made:
        yield made


@pytest.fixture
def short(settings_with: MakeSettings) -> MakeSettings:
    """Settings of calls that cost, with a unit of a second and limits of a few."""

    def make(**changed: object) -> Settings:
        return settings_with(**{"rate_limit": 0, "price_per_minute": PRICE, **TIMERS, **changed})

    return make


@pytest.fixture
async def call(open_call: OpenCallFactory) -> OpenCall:
    return await open_call()


async def worker_holds_nothing(server: Any) -> None:
    """The worker itself says that all it has is the server on which transports listen."""
    dump = await server.worker_dump()
    assert dump["router_ids"] == []
    handlers = dump["channel_message_handlers"]
    assert handlers["channel_request_handlers"] == dump["web_rtc_server_ids"]
    assert handlers["channel_notification_handlers"] == []


async def transports_in_worker(server: Any) -> int:
    """How many transports the worker itself says that it has."""
    dump = await server.pool.slots[0].webrtc_server.dump()
    return len(dump["web_rtc_transport_ids"])
