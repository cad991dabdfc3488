"""Settings of a node that is a process of its own, and whose calls are charged twice a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import pytest

from app.settings import Settings
from tests.conftest import free_ports
from tests.crash.rounds import UNIT_S


@pytest.fixture
def own_settings(settings_with: Callable[..., Settings]) -> Callable[..., Settings]:
    return partial(
        settings_with,
        port=free_ports(1),
        unit_seconds=UNIT_S,
        rate_limit=0,
        call_attempts_per_pair=0,
        log_format="json",
    )


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
