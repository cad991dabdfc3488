"""The dashboard's page of webhooks, over a real node: deliveries with what was sent and answered, and another try."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from playwright.async_api import expect

from app.keys import WEBHOOKS
from app.settings import Settings
from tests.app.webhooks.receiver import always, no_content, receiving
from tests.conftest import Server, serving
from tests.integration.browser.everybody import is_for_everybody
from voiceplane.client.api import Api

PHONE = {"width": 360, "height": 740}
SOON_MS = 15_000


@pytest.fixture
async def server(settings_with: Callable[..., Settings]) -> AsyncIterator[Server]:
    async with serving(settings_with(webhook_allow_private=True)) as running:
        yield running


async def test_deliveries_are_seen_sent_again_and_replayed(server, launch, axe):
    async with receiving(always(500, "ouch")) as receiver, aiohttp.ClientSession() as http:
        page = await (await launch(viewport=PHONE)).new_page()
        await page.goto(server.url("/admin/"))
        await page.get_by_label("Token").fill(server.token("root", "admin"))
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Webhooks").click()
        await expect(page.locator("#no-webhooks")).to_be_visible()

        await server.app[WEBHOOKS].registration.add(receiver.url(), ("wallet.adjusted",), "the back end")
        body = {"amount": 5, "reason": "gift", "idempotencyKey": "first"}
        api = Api(http, server.base, server.token("root", "admin"))
        await api.request("POST", "/admin/wallets/alice/adjust", body)
        row = page.get_by_role("row").filter(has_text="wallet.adjusted")
        await expect(row).to_contain_text("500 ouch", timeout=SOON_MS)
        await expect(row).to_contain_text("pending")
        await expect(page.locator("#webhook-state")).to_have_text("failing", timeout=SOON_MS)
        await row.get_by_text("wallet.adjusted", exact=True).first.click()
        await expect(row.locator("pre")).to_contain_text('"idempotencyKey": "first"')
        await expect(row.locator("pre")).to_contain_text(receiver.got[0].id)
        await is_for_everybody(page, axe, PHONE["width"])

        receiver.answer = no_content
        await row.get_by_role("button", name="Send again").click()
        await expect(row).to_contain_text("delivered", timeout=SOON_MS)
        await expect(page.locator("#webhook-state")).to_have_text("well", timeout=SOON_MS)
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.get_by_role("row").filter(has_text="webhook.test")).to_contain_text("204", timeout=SOON_MS)
        seen = len(receiver.got)
        await page.get_by_role("button", name="Replay").click()
        await receiver.until(seen + 2)
        await page.get_by_label("Status").select_option("dead")
        await expect(page.locator("#no-deliveries")).to_be_visible(timeout=SOON_MS)

        await page.get_by_role("button", name="Disable").click()
        await expect(page.locator("#webhook-state")).to_have_text("disabled", timeout=SOON_MS)
        await expect(page.locator("#webhook-about")).to_contain_text("an admin disabled it")
        await page.get_by_role("button", name="Enable").click()
        await expect(page.locator("#webhook-state")).to_have_text("well", timeout=SOON_MS)
