"""A page of another origin calls the API in Chromium, as CORS_ORIGINS lets it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from tests.conftest import serving

ASK = """async ([url, method, token, body]) => {
    const headers = token ? { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' } : {};
    try {
        const answer = await fetch(url, { method, headers, body });
        const read = (name) => answer.headers.get(name);
        return { status: answer.status, body: await answer.json(), retryAfter: read('Retry-After') };
    } catch (error) {
        return { failed: error.name };
    }
}"""


async def empty_page(_: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><title>a page</title>", content_type="text/html")


@pytest.fixture
async def pages(chromium: Any) -> AsyncIterator[tuple[Page, Page]]:
    """Two pages of two origins, neither of them the node's."""
    app = web.Application()
    app.add_routes([web.get("/", empty_page)])
    async with TestServer(app, host="127.0.0.1") as first:
        ours, others = await chromium.new_page(), await chromium.new_page()
        await ours.goto(str(first.make_url("/")))
        await others.goto(str(first.make_url("/").with_host("localhost")))
        yield ours, others
        await ours.close()
        await others.close()


async def asked(page: Page, url: str, method: str = "GET", token: str = "", body: str | None = None) -> Any:
    return await page.evaluate(ASK, [url, method, token, body])


async def test_a_page_of_a_named_origin_reads_answers_and_refusals(pages: tuple[Page, Page], settings_with) -> None:
    ours, others = pages
    settings = settings_with(cors_origins=(ours.url.rstrip("/"),), rate_limit=1)
    async with serving(settings) as server:
        admin, user = server.token("root", "admin"), server.token("u1", "user")
        opened = await asked(ours, server.url("/admin/calls"), "POST", admin, '{"userId": "u1", "otomoId": "o1"}')
        assert (opened["status"], opened["body"]["state"]) == (201, "matched")
        listed = await asked(ours, server.url("/calls"), token=user)
        assert [call["callId"] for call in listed["body"]["calls"]] == [opened["body"]["callId"]]

        assert (await asked(ours, server.url("/calls")))["body"]["error"] == "UNAUTHORIZED"
        assert (await asked(ours, server.url("/nowhere"), token=admin))["body"]["error"] == "NOT_FOUND"
        refused = [await asked(ours, server.url("/calls/none"), "DELETE", user) for _ in range(4)]
        assert refused[-1]["body"]["error"] == "RATE_LIMITED"
        assert int(refused[-1]["retryAfter"]) >= 1

        assert await asked(others, server.url("/calls"), token=user) == {"failed": "TypeError"}
        assert await asked(others, server.url("/health/live")) == {"failed": "TypeError"}


async def test_no_page_of_another_origin_reads_anything_by_default(pages: tuple[Page, Page], server: Any) -> None:
    for page in pages:
        assert await asked(page, server.url("/health/live")) == {"failed": "TypeError"}
