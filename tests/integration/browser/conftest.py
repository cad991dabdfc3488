"""Headless Chromium: with the node's own pages, and with mediasoup-client in a page of the tests.

The latter is bundled as the node's pages are. A proxy serves it beside the node's REST, which stands for what a
deployment does: it gives the page and the API one origin, as the node answers no other one.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from app.web import build

HERE = Path(__file__).parent
TEST_PACKAGES = HERE.parent / "packages"
CHROMIUM = "/usr/bin/chromium"
MICROPHONE_HZ = 700.0
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",  # grants the microphone without asking
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",  # a machine without a network has no other address
    "--autoplay-policy=no-user-gesture-required",  # nobody clicks, and an AudioContext waits for a click
)
NOT_FORWARDED = {"host", "content-length", "transfer-encoding", "connection"}

OpenPage = Callable[[], Awaitable[Page]]


@pytest.fixture(scope="session")
def pages_built() -> None:
    """The node's own pages, as ``make setup`` builds them."""
    build.build(quiet)


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds what keeps people from using a page."""
    return (build.packages(quiet, TEST_PACKAGES) / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def page_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled page script."""
    script = tmp_path_factory.mktemp("page") / "bundle.js"
    build.bundle(HERE / "page.js", script, build.packages(quiet), form="iife")
    return script


def quiet(_: str) -> None:
    """Takes progress that nobody looks at."""


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium's fake microphone plays, over and over: one second of a tone, which joins its own beginning."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    rate = 48_000
    samples = np.sin(2 * np.pi * MICROPHONE_HZ * np.arange(rate) / rate) * 0.3 * 32767
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.fixture
def microphone_hz() -> float:
    """What a party hears from a page that sends its microphone."""
    return MICROPHONE_HZ


@asynccontextmanager
async def launched(*flags: str) -> AsyncIterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: `make setup-test` installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_FLAGS, *flags])
        yield browser
        await browser.close()


@pytest.fixture
async def chromium(microphone: Path) -> AsyncIterator[Browser]:
    async with launched(f"--use-file-for-fake-audio-capture={microphone}") as browser:
        yield browser


@pytest.fixture
async def launch() -> AsyncIterator[Callable[..., Awaitable[BrowserContext]]]:
    """Starts a browser with more flags, and gives a session of it.

    What its pages complain of fails the test, apart from what is ``allowed``: Chromium complains of every refusal.
    """
    complaints: list[str] = []

    def listen(allowed: tuple[str, ...], page: Page) -> None:
        def hear(kind: str, text: str) -> None:
            if kind == "error" and not any(words in text for words in allowed):
                complaints.append(text)

        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: hear(message.type, message.text))

    async with AsyncExitStack() as browsers:

        async def start(*flags: str, allowed: tuple[str, ...] = (), **options: Any) -> BrowserContext:
            browser = await browsers.enter_async_context(launched(*flags))
            context = await browser.new_context(**{"locale": "en-US", **options})
            context.on("page", partial(listen, allowed))
            return context

        yield start
    assert not complaints


@pytest.fixture
async def origin(server: Any, http: aiohttp.ClientSession, page_script: Path) -> AsyncIterator[str]:
    """The URL where both the page and the node's REST are found."""

    async def forward(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_FORWARDED}
        body = await request.read() or None
        async with http.request(
            request.method,
            server.base + request.path_qs,
            data=body,
            headers=headers,
            skip_auto_headers=("Content-Type",),
        ) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / "page.html")

    async def script(_: web.Request) -> web.FileResponse:
        return web.FileResponse(page_script)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/page.js", script), web.route("*", "/rtc/{tail:.*}", forward)])
    async with TestServer(app, host="127.0.0.1") as proxy:
        yield str(proxy.make_url("/"))


@pytest.fixture
async def open_page(chromium: Browser, origin: str) -> AsyncIterator[OpenPage]:
    """Opens a tab of its own session; what its console complains of fails the test."""
    complaints: list[str] = []

    async def open_one() -> Page:
        page = await chromium.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await page.goto(origin)
        return page

    yield open_one
    await asyncio.gather(*(page.close() for context in chromium.contexts for page in context.pages))
    assert not complaints
