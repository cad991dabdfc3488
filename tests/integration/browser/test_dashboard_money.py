"""The dashboard's page of money: sums by day with their charts, and what is outstanding; on a phone."""

from __future__ import annotations

import re
import time

from playwright.async_api import expect

from app.ledger.values import RefundAsked
from tests.integration.browser.admins import PHONE, SOON_MS, past_call, press, sign_in, tab_to
from tests.integration.browser.everybody import is_for_everybody

DAY_MS = 86_400_000


async def money_moved(server) -> None:
    """Points come five days ago; calls cost three days ago and yesterday, and something is given back."""
    today = int(time.time() * 1000) // DAY_MS * DAY_MS
    ledger = server.ledger
    gift = {"reason": "gift", "at_ms": today - 5 * DAY_MS}
    await ledger.adjust("alice", 5000, idempotency_key="one", **gift)
    in_2040 = 2_208_988_800_000
    await ledger.adjust("bea", 70, idempotency_key="two", kind="bonus", expires_at_ms=in_2040, **gift)
    await past_call(server, "first", at_ms=today - 3 * DAY_MS, units=5)
    await past_call(server, "second", at_ms=today - DAY_MS, units=3)
    await ledger.refund(RefundAsked("first", 50, None, "bad line", "refund"), at_ms=today - 2 * DAY_MS)


async def test_money_is_seen_by_day_and_by_month_of_expiry(server, launch):
    await money_moved(server)
    page = await (await launch()).new_page()
    await sign_in(page, server)
    await press(page.get_by_role("link", name="Money"))
    tiles = page.locator("#money-tiles .tile")
    await expect(tiles.filter(has_text="Outstanding")).to_contain_text("4,320", timeout=SOON_MS)
    await expect(tiles.filter(has_text="Charged").first).to_contain_text("800")
    await expect(tiles.filter(has_text="Given back").first).to_contain_text("50")
    await expect(tiles.filter(has_text="Kept")).to_contain_text("750")
    days = page.locator("#by-day tbody tr")
    await expect(days).to_have_count(30)
    await expect(days.nth(1)).to_contain_text(re.compile(r"300.*0.*0.*0.*0.*4,320"))
    await expect(days.nth(2)).to_contain_text(re.compile(r"0.*50.*0.*0.*0.*4,620"))
    await expect(days.nth(5)).to_contain_text(re.compile(r"0.*0.*5,070.*0.*0.*5,070"))
    months = page.locator("#by-month tbody tr")
    await expect(months).to_have_count(2)
    await expect(months.filter(has_text="January 2040")).to_contain_text("70")
    await expect(months.filter(has_text="never")).to_contain_text("4,250")

    chart = page.get_by_role("img", name=re.compile("^Charged and given back"))
    await expect(chart.locator(".curve")).to_have_count(2)
    await expect(chart).to_have_attribute("aria-label", re.compile("on the last day: charged 0, at most 500;"))
    await tab_to(chart)
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(chart).to_have_attribute("aria-label", re.compile(r" on \d+ \w+ \d+: charged 300; given back 0"))

    await tab_to(page.locator("[name=days]:checked"), "Shift+Tab")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#said")).to_have_text("7 days: 800 points charged, 50 given back.")
    await expect(days).to_have_count(7)


async def test_a_node_without_money_has_a_page_of_it(server, launch):
    page = await (await launch()).new_page()
    await sign_in(page, server, "#/money")
    await expect(page.locator("#money-tiles .tile").first).to_contain_text("0", timeout=SOON_MS)
    await expect(page.locator("#by-day tbody tr")).to_have_count(30)
    await expect(page.locator("#by-month tbody tr")).to_have_count(1)


async def test_money_is_for_everybody(server, launch, axe):
    await money_moved(server)
    page = await (await launch(viewport=PHONE)).new_page()
    await sign_in(page, server, "#/money")
    await expect(page.locator("#by-day tbody tr")).to_have_count(30, timeout=SOON_MS)
    await expect(page.locator(".curve").first).to_be_attached()
    await is_for_everybody(page, axe, PHONE["width"])
