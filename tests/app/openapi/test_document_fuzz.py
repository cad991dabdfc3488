"""The running node keeps what its OpenAPI document promises: schemathesis asks it, with good requests and bad ones."""

from __future__ import annotations

import asyncio
import os

import pytest

from app.media import party_objects
from app.openapi.document import operations
from schemas.base import camel_case
from tests.app.openapi.fuzz import run
from tests.app.openapi.world import UNIT_S, World
from tests.conftest import serving

EXAMPLES = int(
    os.environ.get("OPENAPI_EXAMPLES", "8")
)  # generated for each operation; `make test-openapi` asks for more
SEED = int(os.environ.get("OPENAPI_SEED", "1"))


# The node works in a thread beside, and what takes random numbers there is taken for a strategy.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.timeout(300)  # some thousand requests
async def test_nothing_is_answered_that_is_not_described(settings_with, monkeypatch):
    monkeypatch.setattr(party_objects, "WITHIN_S", 0.0)  # nobody else makes so many transports
    settings = settings_with(
        supervision=True,
        recording=True,
        demo="on",
        rate_limit=0,
        call_attempts_per_minute=0,
        call_attempts_per_pair=0,
        ring_timeout_s=3600.0,
        setup_timeout_s=3600.0,
        stress_limit=0.0,
        webhook_allow_private=True,
        unit_seconds=UNIT_S,
    )
    async with serving(settings) as server, World.opened(server) as world:
        found = await asyncio.to_thread(run, server.base, world, asyncio.get_running_loop(), EXAMPLES, SEED)
        described = list(operations(server.app.router))
    print(f"{found.answers.total()} cases: {found.by_status()}")
    assert not found.problems, "\n\n".join(f"{name}\n{text}" for name, text in found.problems.items())
    for operation in described:
        good = {status for status in operation.declaration.answers if 200 <= status < 300}
        name = camel_case(operation.handler.__name__)
        assert not good or any(found.answers[name, status] for status in good), f"{name} never succeeded"
