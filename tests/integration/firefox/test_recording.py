"""A call of two browsers is recorded, and played on the dashboard in Firefox and Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.firefox.browsers import Browsers, Kind
from tests.integration.firefox.call_pages import calling, page_of
from tests.integration.firefox.nodes import DefaultNode, running_node
from tests.integration.firefox.test_firefox import hears, in_phase
from tests.network import Network

pytestmark = pytest.mark.timeout(240)  # browsers start slowly on a busy machine


@pytest.fixture
def node(machine: Network, recipe: Path, tmp_path: Path) -> Iterator[DefaultNode]:
    with running_node(machine, recipe, tmp_path, VOICEPLANE_RECORDING="on") as running:
        yield running


async def recorded_call(node: DefaultNode, browsers: Browsers) -> str:
    """The id of a call that is over."""
    user, otomo, call_id = await calling(node, browsers)
    path = f"{node.base}/admin/calls/{call_id}/recording"
    await browsers.request("POST", path, node.token("root", "admin"), {"reason": "a complaint"})
    await hears(user)
    await user.click("#hang-up")
    await in_phase("ended", user, otomo)
    return call_id


@pytest.mark.parametrize("kind", ["firefox", "chromium"])
async def test_a_recording_is_seen_and_played_in(kind: Kind, node: DefaultNode, browsers: Browsers) -> None:
    page = await page_of(node, browsers, kind, await recorded_call(node, browsers), "record-open")
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
