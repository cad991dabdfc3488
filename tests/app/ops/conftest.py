"""A REST client, and an admin on the node under test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.conftest import Server
from tests.integration.conftest import OpenCall, open_call_on
from voiceplane.client.api import Api


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def admin(server: Server, http: aiohttp.ClientSession) -> Api:
    return Api(http, server.base, server.token("root", "admin"))


@pytest.fixture
async def call(server: Server, http: aiohttp.ClientSession) -> OpenCall:
    """A free call between strangers, in ``matched``."""
    return await open_call_on(server, http)
