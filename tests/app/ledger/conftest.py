"""The ledger's databases: every test that asks for ``url`` or ``ledger`` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.ledger import Ledger
from tests.app.ledger.ledger_samples import NODE
from tests.app.ledger.postgres_cluster import Cluster, running_cluster


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[Cluster]:
    """Started before the first test of this folder, and not by it: it outlives the test."""
    with running_cluster() as running:
        yield running


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """For a test that stops it."""
    with running_cluster() as running:
        yield running


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture
def postgres_url(cluster: Cluster) -> Iterator[str]:
    url = cluster.new_database()
    yield url
    cluster.give_back(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database."""
    made: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return made


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    async with Ledger.open(url, node=NODE) as opened:
        yield opened


@pytest.fixture
async def other(url: str, ledger: Ledger) -> AsyncIterator[Ledger]:
    """The same database and the same node, by connections of its own: what a node asks at once it may ask on two."""
    async with Ledger.open(url, node=NODE) as opened:
        yield opened


@pytest.fixture
async def elsewhere(url: str, ledger: Ledger) -> AsyncIterator[Ledger]:
    """The same database, as another node has it open."""
    async with Ledger.open(url, node="elsewhere") as opened:
        yield opened
