"""Several nodes, each a process of its own, on one PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from app.settings import Settings
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.conftest import free_ports
from tests.crash.killed_node import Node, started

CLUSTER_SECRET = "known to the nodes of this cluster alone"
UNIT_S = 0.5

Members = Callable[..., AbstractAsyncContextManager[Node]]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def member(postgresql: Cluster, settings_with: Callable[..., Settings], tmp_path: Path) -> Members:
    """``async with member("a") as node``: a node of this test's cluster."""
    url = postgresql.new_database()

    @asynccontextmanager
    async def join(name: str, **changed: object) -> AsyncIterator[Node]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        settings = settings_with(
            **{
                "database_url": url,
                "data_dir": folder,
                "port": free_ports(1),
                "rtc_port": free_ports(1),
                "workers": 1,
                "unit_seconds": UNIT_S,
                "rate_limit": 0,
                "drain_timeout_s": 0,
                "log_format": "json",
                "cluster": True,
                "node_name": name,
                "cluster_listen": f"127.0.0.1:{free_ports(1)}",
                "cluster_secret": CLUSTER_SECRET,
                **changed,
            }
        )
        async with started(settings) as node:
            yield node

    return join


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
