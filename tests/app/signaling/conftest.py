"""A node of its own for each test of the WebSocket, and the check that none of its tasks is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.app.signaling.signaling_node import Node, serving

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,  # what a node runs on
    "asyncio": asyncio.new_event_loop,
}
BOTH = frozenset({"test_connection"})  # what closes and cuts transports, which are the loops' own


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOPS if item.path.stem in BOTH else {"uvloop": LOOPS["uvloop"]}


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:  # what is just ending may end
        _, left = await asyncio.wait(left, timeout=1)
    assert not left, f"tasks are left: {left}"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with serving(tmp_path) as running:
        yield running
