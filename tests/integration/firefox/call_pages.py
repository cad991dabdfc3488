"""Two demo pages in a call, and the dashboard's page of it."""

from __future__ import annotations

import json

from tests.integration.firefox.browsers import Browsers, Kind, Page
from tests.integration.firefox.nodes import PEERS, DefaultNode
from tests.integration.firefox.test_firefox import in_phase


async def calling(node: DefaultNode, browsers: Browsers) -> tuple[Page, Page, str]:
    """A user's demo page and an otomo's, who hear each other; and the call's id."""
    chromium = await browsers.launch("chromium", node.base)
    user = await browsers.open(chromium, f"{node.base}/demo", PEERS)
    await user.until("document.getElementById('open-other').href.includes('pair=')")
    otomo = await browsers.open(chromium, await user.evaluate("document.getElementById('open-other').href"), PEERS)
    await user.until("!document.getElementById('call').disabled")
    await user.click("#call")
    await in_phase("incoming", otomo)
    await otomo.click("#accept")
    await in_phase("talking", user, otomo)
    [call] = (await browsers.request("GET", f"{node.base}/admin/calls", node.token("root", "admin")))["calls"]
    return user, otomo, str(call["callId"])


async def page_of(node: DefaultNode, browsers: Browsers, kind: Kind, call_id: str, shows: str) -> Page:
    """The page of a call on the dashboard, once it shows the element of that id."""
    page = await browsers.open(await browsers.launch(kind, node.base), f"{node.base}/admin/", PEERS)
    await page.evaluate(f"document.getElementById('token').value = {json.dumps(node.token('root', 'admin'))}")
    await page.click("#login-form button")
    await page.until("!document.getElementById('overview').hidden")
    await page.evaluate(f"location.hash = '#/calls/{call_id}'")
    await page.until(f"document.getElementById('{shows}')?.hidden === false")
    return page
