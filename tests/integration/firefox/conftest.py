"""A node with its default settings on a machine with addresses of its own, and Firefox and Chromium beside it."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.web import build
from tests.integration.firefox.browsers import Browsers, driven
from tests.integration.firefox.nodes import HERE, IPV4, ROOT, DefaultNode, MatchedCall, quiet, running_node
from tests.network import Network, network


@pytest.fixture(params=[(IPV4,)], ids=["ipv4"])
def machine(request: pytest.FixtureRequest) -> Iterator[Network]:
    """One with these addresses, besides loopback."""
    with network(*request.param) as made:
        yield made


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page script with the documented recipe in it, bundled as its readers do."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "recipe.js").write_text(documented_recipe(), encoding="utf-8")
    page = folder / "page.js"
    page.write_text((HERE / "recipe_page.js").read_text(encoding="utf-8"), encoding="utf-8")
    build.bundle(page, folder / "bundle.js", build.packages(quiet))
    return folder / "bundle.js"


def documented_recipe() -> str:
    """The one block of code in docs/browser.md."""
    text = (ROOT / "docs" / "browser.md").read_text(encoding="utf-8")
    [found] = re.findall(r"^```js\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def node(machine: Network, recipe: Path, tmp_path: Path) -> Iterator[DefaultNode]:
    with running_node(machine, recipe, tmp_path) as running:
        yield running


@pytest.fixture
async def browsers(machine: Network) -> AsyncIterator[Browsers]:
    packages = build.packages(quiet, HERE.parent / "packages")
    with tempfile.TemporaryDirectory(prefix="browsers-") as folder:  # a short path, as Chromium has a socket in it
        async with driven(machine, packages, Path(folder)) as running:
            yield running


@pytest.fixture
async def matched(node: DefaultNode, browsers: Browsers) -> MatchedCall:
    mark = secrets.token_hex(4)
    user, otomo, call_id = f"user-{mark}", f"otomo-{mark}", f"call-{mark}"
    body = {"userId": user, "otomoId": otomo, "callId": call_id, "pricePerMinute": 0}
    await browsers.request("POST", f"{node.base}/admin/calls", node.token("root", "admin"), body)
    return MatchedCall(call_id, node.token(user, "user"), node.token(otomo, "otomo"))
