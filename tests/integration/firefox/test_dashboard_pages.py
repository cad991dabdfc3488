"""The dashboard's pages in Firefox: by the keyboard alone, on a screen of a phone's width."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.firefox.browsers import Browsers, Page
from tests.integration.firefox.nodes import DefaultNode, running_node
from tests.network import Network

WIDTH, HEIGHT = 360, 740
MOST_TABS = 80
FOCUSED = """(() => {
  const focused = document.activeElement;
  const shown = focused.matches('[type=radio]') ? focused.nextElementSibling : focused;
  const seen = getComputedStyle(shown).outlineStyle !== 'none';
  return { is: focused.matches(%s), seen, what: focused.outerHTML.slice(0, 200) };
})()"""

pytestmark = pytest.mark.timeout(180)  # a browser starts slowly on a busy machine


async def tab_to(page: Page, selector: str, *, back: bool = False) -> None:
    """Go there with the keyboard; each stop on the way is seen to have the focus."""
    for _ in range(MOST_TABS):
        await page.press("Tab", shift=back)
        focused = await page.evaluate(FOCUSED % json.dumps(selector))
        assert focused["seen"], focused["what"]
        if focused["is"]:
            return
    raise AssertionError(f"{selector} is not reached")


async def press(page: Page, selector: str) -> None:
    await tab_to(page, selector)
    await page.press("Enter")


async def fits(page: Page) -> None:
    assert await page.evaluate("innerWidth") == WIDTH
    assert await page.evaluate("document.documentElement.scrollWidth") <= WIDTH, "it is wider than the screen"


async def reads(page: Page, selector: str, text: str) -> None:
    await page.until(f"document.querySelector({json.dumps(selector)})?.textContent.includes({json.dumps(text)})")


@pytest.fixture
def node(machine: Network, recipe: Path, tmp_path: Path) -> Iterator[DefaultNode]:
    with running_node(machine, recipe, tmp_path, VOICEPLANE_STRESS_LIMIT="0") as running:  # whose calls are few
        yield running


async def test_the_keyboard_alone_searches_books_and_reads(node: DefaultNode, browsers: Browsers) -> None:
    admin = node.token("root", "admin")
    for call_id, user_id in (("first", "alice"), ("second", "bea")):
        body = {"callId": call_id, "userId": user_id, "otomoId": "hana", "pricePerMinute": 0}
        await browsers.request("POST", f"{node.base}/admin/calls", admin, body)
        await browsers.request("POST", f"{node.base}/admin/calls/{call_id}/end", admin)
    page = await browsers.open(await browsers.launch("firefox", node.base), f"{node.base}/admin/")
    await page.resize(WIDTH, HEIGHT)
    await page.until("document.activeElement.id === 'token'")
    await page.type(admin)
    await page.press("Enter")
    await page.until("document.activeElement.id === 'overview-title'")

    await tab_to(page, "[href='#/history']", back=True)
    await page.press("Enter")
    await reads(page, "#found [role=status]", "2 calls.")
    await tab_to(page, "#search-user")
    await page.type("alice")
    await page.press("Enter")
    await reads(page, "#found [role=status]", "1 call.")
    await fits(page)
    await press(page, "[href='#/calls/first']")
    await reads(page, "#call .record", "points for 60 s")
    await fits(page)

    await press(page, ".who a")
    await reads(page, "#people-title", "User alice")
    await reads(page, "#person", "No wallet yet")
    await tab_to(page, "#adjust-amount")
    await page.type("500")
    await tab_to(page, "#adjust-reason")
    await page.type("a present")
    await fits(page)
    await press(page, "#person form [type=submit]")
    await page.until("document.getElementById('adjust-dialog').open")
    await press(page, "#adjust-dialog [value=yes]")
    await reads(page, "#said", "alice holds 500 points now.")
    await reads(page, "#person .plain tbody", "500")

    await page.evaluate("scrollTo(0, 0); document.getElementById('people-title').focus()")
    await page.evaluate("location.hash = '#/money'")
    await reads(page, "#money-tiles", "500")
    await page.until("document.querySelector('#money-charts .curve')")
    await tab_to(page, "#money-charts svg")
    await page.press("ArrowLeft")
    await fits(page)

    await page.evaluate("location.hash = '#/history?state=all&userId=bea'")
    await reads(page, "#found [role=status]", "1 call.")
    await press(page, "#csv")  # the last step: Firefox shows its downloads, and they have the focus
    await reads(page, "#csv-state", "calls.csv, ")
    assert await browsers.ask("complaints") == []
