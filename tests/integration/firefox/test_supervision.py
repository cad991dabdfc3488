"""An admin hears a call of two browsers from the dashboard, whispers to one and speaks to both, whose pages play it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.firefox.browsers import Browsers, Kind, Page
from tests.integration.firefox.call_pages import calling, page_of
from tests.integration.firefox.nodes import DefaultNode, running_node
from tests.integration.firefox.test_firefox import hears, in_phase
from tests.network import Network

pytestmark = pytest.mark.timeout(240)  # browsers start slowly on a busy machine


@pytest.fixture
def node(machine: Network, recipe: Path, tmp_path: Path) -> Iterator[DefaultNode]:
    with running_node(machine, recipe, tmp_path, VOICEPLANE_SUPERVISION="on") as running:
        yield running


async def hears_streams(page: Page, count: int) -> None:
    await page.until(f"peers.streams().then((now) => now === {count})")


@pytest.mark.parametrize("kind", ["firefox", "chromium"])
async def test_the_dashboard_listens_whispers_and_speaks_in(kind: Kind, node: DefaultNode, browsers: Browsers) -> None:
    user, otomo, call_id = await calling(node, browsers)
    root = node.token("root", "admin")
    admin = await page_of(node, browsers, kind, call_id, "listen")
    await admin.click("#listen")
    await admin.evaluate("document.getElementById('supervise-reason').value = 'a complaint'")
    await admin.click("#supervise-dialog [value=yes]")
    await admin.until("document.getElementById('listening').textContent === 'You hear both. Nobody hears you.'")
    await hears_streams(admin, 2)
    await hears(admin)
    for number in (0, 1):
        await admin.until(f"document.querySelectorAll('.meters meter')[{number}].value > 0.3")
    await hears_streams(user, 1)

    await admin.click("[data-wish=otomo]")
    await admin.until("document.querySelector('[data-wish=otomo]').getAttribute('aria-pressed') === 'true'")
    await hears_streams(otomo, 2)
    await hears_streams(user, 1)
    if kind == "chromium":  # on a machine without sound Firefox has no engine that could measure one's own microphone
        await admin.until("document.querySelectorAll('.meters meter')[2].value > 0.3")
    await admin.click("[data-wish=barge]")
    await hears_streams(user, 2)
    await hears_streams(otomo, 2)
    await otomo.reload()  # it knows of nothing, and hears both again
    await in_phase("rejoin", otomo)
    await otomo.click("#rejoin")
    await in_phase("talking", otomo)
    await hears_streams(otomo, 2)
    await admin.click("[data-wish=listen]")
    await hears_streams(user, 1)
    await hears_streams(otomo, 1)
    await admin.click("[data-wish=user]")
    await hears_streams(user, 2)
    await hears_streams(otomo, 1)

    await admin.click("#stop-listening")
    await admin.until("!document.getElementById('listen').hidden")
    await hears_streams(user, 1)
    await hears(user)
    lines = (await browsers.request("GET", f"{node.base}/admin/audit?callId={call_id}", root))["entries"]
    assert [
        line["details"].get("to", line["details"]["mode"]) for line in lines if line["action"] != "supervision.end"
    ][::-1] == ["listen", "otomo", "barge", "listen", "user"]
    assert (lines[0]["action"], lines[-1]["reason"]) == ("supervision.end", "a complaint")
