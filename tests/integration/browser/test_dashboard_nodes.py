"""The dashboard over two real nodes: it shows both from either, and drains one from the other."""

from __future__ import annotations

import aiohttp
import pytest
from playwright.async_api import expect

from tests.cluster.conftest import http, member, postgresql
from tests.cluster.member import Members

__all__ = ["http", "member", "postgresql"]

pytestmark = pytest.mark.timeout(180)
SOON_MS = 20_000


async def test_a_node_is_seen_and_drained_from_another(launch, member: Members, http: aiohttp.ClientSession) -> None:
    async with member("one") as one, member("two") as two:
        await two.api(http, "root", "admin").open_call("there", "bob", "rin")
        page = await (await launch(allowed=("503",))).new_page()
        await page.goto(f"{one.base}/admin/")
        await page.get_by_label("Token").fill(one.token("root", "admin"))
        await page.keyboard.press("Enter")
        section = page.get_by_role("region", name="Nodes")
        cards = section.get_by_role("article")
        await expect(cards).to_have_count(2, timeout=SOON_MS)
        await expect(page.locator("#workers article")).to_have_count(2, timeout=SOON_MS)
        await expect(page.locator("#workers h3").last).to_have_text("Worker 0 of two")
        await expect(page.locator("#drain")).to_be_hidden()
        card = cards.filter(has=page.get_by_role("heading", name="two"))
        await expect(card.locator("dd").first).to_have_text("1", timeout=SOON_MS)
        await card.get_by_role("button", name="Drain").click()
        dialog = page.get_by_role("dialog", name="Take no new calls?")
        await dialog.get_by_label("move to other nodes").check()
        await dialog.get_by_role("button", name="Drain").click()
        await expect(card.locator(".pill")).to_have_text("draining", timeout=SOON_MS)
        drained = await two.api(http, "root", "admin").request("GET", "/admin/drain")
        assert (drained["draining"], drained["mode"]) == (True, "move")
        await card.get_by_role("button", name="Take calls again").click()
        await expect(card.locator(".pill")).to_have_text("up", timeout=SOON_MS)
        await page.close()  # before its nodes are gone
