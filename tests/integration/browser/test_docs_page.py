"""The page on which the API is read and tried, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, expect

from app.rest import docs

BALANCE = "#operations-Points-getBalance"


@pytest.fixture
async def page(chromium: Any, server: Any) -> Any:
    page = await chromium.new_page()
    yield page
    await page.close()


def complaints_of(page: Page) -> list[str]:
    """What its console complains of from now on, breaches of its Content Security Policy among it."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    return complaints


async def test_an_endpoint_is_tried_with_a_token_that_was_typed_in(server, http, page):
    body = {"amount": 500, "reason": "tests", "idempotencyKey": "tests"}
    async with http.post(
        server.url("/admin/wallets/alice/adjust"), json=body, headers=server.headers("root", "admin")
    ) as adjusted:
        assert adjusted.status == 200
    complaints = complaints_of(page)
    strangers: list[str] = []
    page.on("request", lambda request: strangers.append(request.url) if not is_of(server, request.url) else None)

    await page.goto(server.url("/docs"))
    await page.click("button.authorize")
    await page.fill(".modal-ux input", server.token("alice", "user"))
    await page.click(".modal-ux button.authorize")
    await page.click(".modal-ux button.btn-done")
    await page.click(f"{BALANCE} .opblock-summary-control")
    await page.click(f"{BALANCE} button.execute")

    await expect(page.locator(f"{BALANCE} .live-responses-table")).to_contain_text('"balance": 500')
    assert not complaints
    assert not strangers


def is_of(server: Any, url: str) -> bool:
    return url.startswith((server.base, "data:"))


async def test_every_endpoint_is_there_with_the_other_description(server, page):
    complaints = complaints_of(page)
    await page.goto(server.url("/docs"))
    await expect(page.locator(".opblock").first).to_be_visible()
    described = msgspec.json.decode(server.app[docs.DOCUMENT].raw)["paths"].values()
    assert await page.locator(".opblock").count() == sum(len(operations) for operations in described)
    assert not complaints
    async with page.expect_navigation():
        await page.click("nav a[href='asyncapi.json']")
    assert '"asyncapi":"3.0.0"' in await page.inner_text("body")


async def test_it_says_how_to_build_it_where_it_is_not_built(server, page, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(docs, "BUILT", tmp_path)
    answer = await page.goto(server.url("/docs"))
    assert answer.status == 503
    assert "python -m app.web.build" in await page.inner_text("main")
    assert await page.get_attribute("nav a", "href") == "openapi.json"


@pytest.mark.parametrize("name", ["x" * 300 + ".css", "..%2Findex.html", "%00.css", "LICENSE", "none.js"])
async def test_what_is_no_file_of_the_page_is_not_found(server, http, name: str):
    async with http.get(server.url(f"/docs/assets/{name}")) as response:
        assert response.status == 404
        assert (await response.json())["error"] == "NOT_FOUND"
