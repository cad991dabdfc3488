"""A call of two browsers is recorded, and played on the dashboard in Firefox and Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.firefox.browsers import Browsers, Kind, Page
from tests.integration.firefox.nodes import PEERS, DefaultNode, running_node
from tests.integration.firefox.test_firefox import hears, in_phase
from tests.network import Network

pytestmark = pytest.mark.timeout(240)  # browsers start slowly on a busy machine


@pytest.fixture
def node(machine: Network, recipe: Path, tmp_path: Path) -> Iterator[DefaultNode]:
    with running_node(machine, recipe, tmp_path, VOICEPLANE_RECORDING="on") as running:
        yield running


async def recorded_call(node: DefaultNode, browsers: Browsers) -> str:
    """The id of a call that is over."""
    chromium = await browsers.launch("chromium", node.base)
    user = await browsers.open(chromium, f"{node.base}/demo", PEERS)
    await user.until("document.getElementById('open-other').href.includes('pair=')")
    otomo = await browsers.open(chromium, await user.evaluate("document.getElementById('open-other').href"), PEERS)
    await user.until("!document.getElementById('call').disabled")
    await user.click("#call")
    await in_phase("incoming", otomo)
    await otomo.click("#accept")
    await in_phase("talking", user, otomo)
    root = node.token("root", "admin")
    [call] = (await browsers.request("GET", f"{node.base}/admin/calls", root))["calls"]
    path = f"{node.base}/admin/calls/{call['callId']}/recording"
    await browsers.request("POST", path, root, {"reason": "a complaint"})
    await hears(user)
    await user.click("#hang-up")
    await in_phase("ended", user, otomo)
    return str(call["callId"])


async def on_its_page(node: DefaultNode, browsers: Browsers, kind: Kind, call_id: str) -> Page:
    page = await browsers.open(await browsers.launch(kind, node.base), f"{node.base}/admin/", PEERS)
    await page.evaluate(f"document.getElementById('token').value = {json.dumps(node.token('root', 'admin'))}")
    await page.click("#login-form button")
    await page.until("!document.getElementById('overview').hidden")
    await page.evaluate(f"location.hash = '#/calls/{call_id}'")
    await page.until("document.getElementById('record-open')?.hidden === false")
    return page


@pytest.mark.parametrize("kind", ["firefox", "chromium"])
async def test_a_recording_is_seen_and_played_in(kind: Kind, node: DefaultNode, browsers: Browsers) -> None:
    page = await on_its_page(node, browsers, kind, await recorded_call(node, browsers))
    await page.click("#record-open")
    await page.until("document.querySelector('.player')?.dataset.drawn === 'yes'")
    drawn = await page.evaluate(
        "[...document.querySelectorAll('canvas')].map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.filter((byte) => byte > 0).length)"
    )
    assert len(drawn) == 2
    assert min(drawn) > 1000, "both legs are drawn"
    await page.click(".player .buttons button")
    await page.until("Number(document.querySelector('.player input').value) > 1")
    await page.click(".player .buttons button")
    await page.until("document.querySelector('.player .buttons button').textContent === 'Play'")
