"""A node on a machine with an address of its own, and Chromium and Firefox beside it, for all tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.web import build
from tests.clients.js.parties import HERE, Stage
from tests.integration.firefox.browsers import driven
from tests.integration.firefox.nodes import IPV4, DefaultNode, quiet, running_node
from tests.network import Network, network

UNIT_S = 2
PRICE = 10
RING_S = 8  # long enough for tabs of a busy machine to answer
TEST_PACKAGES = Path(__file__).parents[2] / "integration" / "packages"


@pytest.fixture(scope="module")
def machine() -> Iterator[Network]:
    with network(IPV4) as made:
        yield made


@pytest.fixture(scope="module")
def node(machine: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultNode]:
    settings = {
        "UNIT_SECONDS": UNIT_S,
        "PRICE_PER_MINUTE": PRICE,
        "RING_TIMEOUT_S": RING_S,
        "STRESS_LIMIT": 0,
        "DRAIN_TIMEOUT_S": 0,
    }
    named = {f"VOICEPLANE_{name}": str(value) for name, value in settings.items()}
    folder = tmp_path_factory.mktemp("client")
    with running_node(machine, HERE / "page.js", folder, HERE / "page.html", **named) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(machine: Network, node: DefaultNode) -> AsyncIterator[Stage]:
    packages = build.packages(quiet, TEST_PACKAGES)
    with tempfile.TemporaryDirectory(prefix="browsers-") as folder:  # a short path, as Chromium has a socket in it
        async with driven(machine, packages, Path(folder)) as browsers:
            chromium = await browsers.launch("chromium", node.base)
            firefox = await browsers.launch("firefox", node.base)
            yield Stage(node, browsers, chromium, firefox)
