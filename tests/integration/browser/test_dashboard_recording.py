"""A call's recording in Chromium: begun and ended on the call's page, then played, both legs at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.settings import Settings
from tests.conftest import Server, eventually, serving
from tests.integration.browser.everybody import is_for_everybody
from tests.integration.browser.test_dashboard import SOON_MS, sign_in
from tests.integration.recorded import stored
from tests.party import Party

STORED_MS = 25_000
PLAYERS = (
    "[...document.querySelectorAll('canvas')].map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height))"
)
DRAWN = f"{PLAYERS}.map(({{ data }}) => data.some((byte) => byte > 0))"


@pytest.fixture
async def server(settings_with: Callable[..., Settings]) -> AsyncIterator[Server]:
    async with serving(settings_with(recording=True)) as running:
        yield running


@pytest.fixture
async def talking(server: Server, open_call: Any) -> AsyncIterator[Any]:
    call = await open_call()
    async with Party.joined(call.user, call.call_id) as user, Party.joined(call.otomo, call.call_id) as otomo:
        await user.send(440.0)
        await otomo.send(880.0)
        yield call


async def on_its_page(server: Server, launch: Any, call: Any) -> Page:
    page = await (await launch()).new_page()
    await sign_in(page, server)
    await page.goto(server.url(f"/admin/#/calls/{call.call_id}"))
    await expect(page.locator("#recording-state")).to_have_text("This call is not recorded.", timeout=SOON_MS)
    return page


async def begin(page: Page) -> None:
    await page.get_by_role("button", name="Record …").click()
    await expect(page.locator("#record-reason")).to_be_focused()
    await page.keyboard.type("a complaint")
    await page.keyboard.press("Enter")
    await expect(page.locator("#recording-state")).to_have_text("This call is recorded.")


async def not_beyond(page: Page, seconds: float) -> str | None:
    at = float(await page.get_by_label("Position").input_value())
    return None if at > seconds else f"it plays at {at}"


async def test_a_call_is_recorded_paused_and_stopped_on_its_page(server, launch, talking):
    page = await on_its_page(server, launch, talking)
    await begin(page)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#recording-state")).to_have_text("The recording is paused.")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator("#recording-state")).to_have_text("This call is recorded.")
    await page.get_by_role("button", name="Stop recording").click()
    await expect(page.locator("#recording-state")).to_have_text("This call was recorded.")
    await expect(page.get_by_role("button", name="Download")).to_have_count(2, timeout=STORED_MS)
    asked = (await talking.admin.request("GET", f"/admin/calls/{talking.call_id}/recording"))["reason"]
    assert asked == "a complaint"


async def test_both_legs_are_played_seen_and_jumped_in(server, launch, talking, axe):
    page = await on_its_page(server, launch, talking)
    await begin(page)
    await page.wait_for_timeout(6000)
    await talking.admin.request("POST", f"/admin/calls/{talking.call_id}/end")
    files = await stored(talking.admin, talking.call_id)
    await page.get_by_role("button", name="Open the recording").click(timeout=STORED_MS)
    player = page.locator(".player")
    await expect(player).to_be_focused()
    await expect(player).to_have_attribute("data-drawn", "yes", timeout=SOON_MS)
    assert await page.evaluate(DRAWN) == [True, True]
    await is_for_everybody(page, axe, 1280)

    position = page.get_by_label("Position")
    assert float(await position.get_attribute("max")) == pytest.approx(files[0]["durationMs"] / 1000, abs=0.01)
    await player.focus()
    await page.keyboard.press(" ")
    await expect(player.get_by_role("button", name="Pause")).to_be_visible()
    await eventually(lambda: not_beyond(page, 0.5))
    await page.keyboard.press("k")
    await expect(player.get_by_role("button", name="Play")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await eventually(lambda: not_beyond(page, 5.0))
    await page.keyboard.press("Home")
    await expect(position).to_have_value("0")
    await page.keyboard.press(">")
    await expect(page.get_by_label("Speed", exact=True)).to_have_value("1.25")
    await page.locator("canvas").first.click(position={"x": 5, "y": 20})
    assert 0 < float(await position.input_value()) < 2


async def test_a_file_is_kept(server, launch, talking):
    page = await on_its_page(server, launch, talking)
    await begin(page)
    await page.wait_for_timeout(2000)
    await page.get_by_role("button", name="Stop recording").click()
    async with page.expect_download(timeout=STORED_MS) as downloading:
        await page.get_by_role("button", name="Download").first.click(timeout=STORED_MS)
    download = await downloading.value
    assert re.fullmatch(r".*-user-1\.opus", download.suggested_filename)
    lines = (await talking.admin.request("GET", "/admin/audit?action=recording.download"))["entries"]
    assert [line["callId"] for line in lines] == [talking.call_id]
