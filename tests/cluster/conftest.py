"""One PostgreSQL for all tests of the cluster, with a database for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest
import uvloop

from app.settings import Settings
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.cluster.member import Members
from tests.cluster.proof import Proof, table


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}  # what the load generator runs on


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def member(postgresql: Cluster, settings_with: Callable[..., Settings], tmp_path: Path) -> Members:
    return Members(postgresql.new_database(), settings_with, tmp_path)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Proof:
    """``proof("C5", "what was done", "what held")``: a line of the table at the end."""
    return Proof(request.config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in table(config):
        terminalreporter.write_line(line)
