"""A node under attack. Whatever a test here does to it, it must be whole afterwards: ``scene`` checks that."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from app.application import create_app
from app.http.server import served
from app.settings import Settings
from tests.conftest import Server, eventually
from tests.hostile.attacker import PATIENT, Media, Scene, Victim


@pytest.fixture
def node_settings() -> dict[str, Any]:
    """How the node under attack differs from others; a test module may say it otherwise."""
    return PATIENT


@pytest.fixture
async def server(settings_with: Callable[..., Settings], node_settings: dict[str, Any]) -> AsyncIterator[Server]:
    """The node behind the HTTP server that ``serve`` runs, with its options."""
    settings = settings_with(**node_settings)
    app = create_app(settings)
    async with served(app, settings) as base:
        yield Server(base, settings, app)


@pytest.fixture
async def scene(server: Server, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Scene]:
    """The node; at the end its worker is the same, holds what the rooms say, serves, and nothing was an error."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        scene = Scene(server, http)
        worker = server.pool.slots[0].worker
        assert worker is not None
        yield scene
        assert server.pool.slots[0].worker is worker, "the worker was replaced"
        assert (await server.worker_dump())["pid"] == worker.pid
        await eventually(scene.disagreement)
        await scene.still_serves()
        await eventually(scene.disagreement)
        assert worker.channel.pending == 0
        records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.records]
        assert [record.getMessage() for record in records if record.levelno >= logging.ERROR] == []


@pytest.fixture
async def victim(scene: Scene) -> Victim:
    return await scene.victim()


@pytest.fixture
async def media(scene: Scene, victim: Victim) -> Media:
    return await scene.set_up(victim)
