"""The rooms of ``examples/``, with mediasoup-client in Chromium: it hears and sees itself, and its messages arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from app.web import build
from tests.conftest import eventually
from tests.examples.programs import Running, started

TIMEOUT_MS = 20_000
PLAYED = "() => document.querySelector('audio, video')?.currentTime ?? 0"
WIDTH = "() => document.querySelector('video')?.videoWidth ?? 0"


@pytest.fixture(scope="module")
def client_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mediasoup-client as one module, as a CDN has it."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "all.js").write_text("export { Device } from 'mediasoup-client';\n")
    build.bundle(folder / "all.js", folder / "bundle.js", build.packages(lambda _: None))
    return folder / "bundle.js"


@pytest.fixture
async def client(client_script: Path) -> AsyncIterator[str]:
    """Its URL, on another origin than the page's."""

    async def script(_: web.Request) -> web.FileResponse:
        return web.FileResponse(client_script, headers={"Access-Control-Allow-Origin": "*"})

    app = web.Application()
    app.add_routes([web.get("/mediasoup-client.js", script)])
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/mediasoup-client.js"))


@asynccontextmanager
async def opened(browser: Browser, room: Running) -> AsyncIterator[Page]:
    """The room's page, ready. What its console complains of fails the test."""
    complaints: list[str] = []
    page = await browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.goto((await room.says("room")).partition(": ")[2])
    try:
        await page.locator("#ways:enabled").wait_for(timeout=TIMEOUT_MS)
        yield page
    finally:
        await page.close()
    assert complaints == []


async def write(page: Page, text: str) -> None:
    """What is written before the answer's channel is open may be lost."""
    await page.locator("#heard", has_text="1").wait_for(timeout=TIMEOUT_MS)
    await page.fill("#chat", text)
    await page.press("#chat", "Enter")


@pytest.mark.parametrize("program", ["aiohttp_room.py", "fastapi_room.py"])
async def test_a_browser_hears_itself_and_reads_what_it_writes(program: str, chromium: Browser, client: str) -> None:
    async with started(program, "--echo", "--client", client) as room:
        async with opened(chromium, room) as page:
            await page.click("#microphone")

            async def silent() -> str:
                return "" if await page.evaluate(PLAYED) > 0.5 else "nothing is played"

            await eventually(silent)
            await write(page, "hello")
            await page.get_by_text("hello", exact=True).wait_for(timeout=TIMEOUT_MS)
        await room.interrupt()


@pytest.mark.parametrize("mode", ["simulcast", "svc"])
async def test_the_layers_of_a_camera_are_stepped_through(mode: str, chromium: Browser, client: str) -> None:
    async with started("video_layers.py", "--client", client) as room:
        async with opened(chromium, room) as page:
            await page.click(f"#{mode}")
            assert await room.says(mode) == f"{mode}: 2 sizes at 3 rates"
            for size, width in enumerate((320, 640)):
                assert await room.says(mode) == f"{mode}: size {size} comes"
                await eventually(partial(seen, page, width))
        await room.interrupt()


async def seen(page: Page, width: int) -> str:
    found = await page.evaluate(WIDTH)
    return "" if found == width else f"{found} pixels wide"


async def test_data_channels_reach_the_process_and_come_from_it(chromium: Browser, client: str) -> None:
    async with started("data_channels.py", "--client", client) as room:
        async with opened(chromium, room) as page:
            await write(page, "how much?")
            assert await room.says("heard") == "heard: how much?"
            await page.get_by_text("you wrote 9 letters", exact=True).wait_for(timeout=TIMEOUT_MS)
        await room.interrupt()
