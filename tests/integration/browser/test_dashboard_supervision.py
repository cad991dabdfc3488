"""Listening from the dashboard with the keyboard alone, in Chromium: what the parties hear, and what is left of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.settings import Settings
from tests.conftest import Server, eventually, serving
from tests.integration.browser.everybody import is_for_everybody
from tests.integration.browser.test_dashboard import sign_in
from tests.integration.callers import Scene, scene
from tests.integration.listeners import supervised, supervisions, tone_is_heard, tone_is_not_heard
from voiceplane.client.api import Api

SOON_MS = 15_000

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("pages_built")]


@pytest.fixture
async def server(settings_with: Callable[..., Settings]) -> AsyncIterator[Server]:
    async with serving(settings_with(supervision=True, rate_limit=0)) as running:
        yield running


@pytest.fixture
async def talk(server: Server) -> AsyncIterator[Scene[Server]]:
    async with scene(server) as made:
        yield made


async def at_the_call(launch: Any, microphone: Path, server: Server, call_id: str, **options: Any) -> Page:
    context = await launch(f"--use-file-for-fake-audio-capture={microphone}", **options)
    page: Page = await context.new_page()
    await sign_in(page, server)
    await page.goto(server.url(f"/admin/#/calls/{call_id}"))
    await expect(page.get_by_role("button", name="Listen …")).to_be_visible(timeout=SOON_MS)
    return page


async def begin(page: Page) -> None:
    await page.get_by_role("button", name="Listen …").focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Listen in this call?")
    await expect(dialog.get_by_label("Reason")).to_be_focused()
    await page.keyboard.press("Enter")  # without a reason nothing begins
    await expect(dialog).to_be_visible()
    await page.keyboard.type("a complaint")
    await page.keyboard.press("Enter")
    await expect(page.locator("#listening")).to_have_text("You hear both. Nobody hears you.", timeout=SOON_MS)


async def test_a_call_is_heard_and_spoken_in_with_the_keyboard(
    server: Server, launch: Any, microphone: Path, microphone_hz: float, talk: Scene[Server], axe: str
) -> None:
    user, otomo = await talk.talk()
    page = await at_the_call(launch, microphone, server, user.call.id)
    await begin(page)
    listen = page.get_by_role("button", name="Listen", exact=True)
    await expect(listen).to_be_focused()
    await expect(listen).to_have_attribute("aria-pressed", "true")
    for name in ("user", "otomo"):
        await page.wait_for_function(
            "(name) => [...document.querySelectorAll('.meter')].some((one) => "
            "one.textContent === name && one.firstElementChild.nextElementSibling.value > 0.3)",
            arg=name,
        )
    await is_for_everybody(page, axe, 1280)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Whisper to otomo")).to_be_focused()
    await page.keyboard.press("Space")
    await expect(page.locator("#listening")).to_have_text("You hear both. otomo alone hears you.")
    await tone_is_heard(otomo, microphone_hz)
    await tone_is_not_heard(user, microphone_hz)
    await expect(page.get_by_role("list", name="Who listens")).to_contain_text("root whispers to the otomo")
    await page.get_by_role("link", name="Overview").click()
    await eventually(lambda: why_somebody_is_there(talk.admin, user.call.id))
    await tone_is_not_heard(otomo, microphone_hz)


async def why_somebody_is_there(admin: Api, call_id: str) -> str | None:
    there = await supervisions(admin, call_id)
    return f"{there}" if there else None


async def test_what_is_refused_is_said_and_what_ends_it_as_well(
    server: Server, launch: Any, microphone: Path, talk: Scene[Server]
) -> None:
    user, _ = await talk.talk()
    page = await at_the_call(launch, microphone, server, user.call.id, allowed=("409",))
    await begin(page)
    other = Api(talk.admin.http, server.base, server.token("other", "admin"))
    await supervised(other, user.call.id, "barge")
    await page.get_by_role("button", name="Join").click()
    problem = page.locator("#call > .problem")
    await expect(problem).to_have_text("Another admin speaks in that call.")
    await expect(page.get_by_role("list", name="Who listens")).to_contain_text("other speaks to both")
    await user.call.hang_up()
    await expect(problem).to_have_text("The call is over, and you do not listen any more.", timeout=SOON_MS)
    await expect(page.get_by_role("button", name="Stop listening")).to_be_hidden()
    await expect(page.get_by_role("button", name="Listen …")).to_be_hidden()


async def test_nobody_is_asked_to_listen_where_it_is_off(settings_with: Callable[..., Settings], launch: Any) -> None:
    async with serving(settings_with()) as server:
        admin = server.headers("root", "admin")
        page = await (await launch()).new_page()
        await sign_in(page, server)
        context = page.context
        made = await context.request.post(
            server.url("/admin/calls"), headers=admin, data={"userId": "a", "otomoId": "b", "callId": "quiet"}
        )
        assert made.status == 201
        async with page.expect_response(re.compile(r"/supervise$")) as asked:
            await page.goto(server.url("/admin/#/calls/quiet"))
        assert await (await asked.value).json() == {"enabled": False, "supervisions": []}
        await expect(page.get_by_role("button", name="End call")).to_be_visible()
        await expect(page.get_by_role("button", name="Listen …")).to_be_hidden()
