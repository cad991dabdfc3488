"""The admins' dashboard in Chromium, over a real node: signing in, seeing a call come, looking at it, ending it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.settings import Settings
from tests.conftest import Server, serving
from tests.integration.browser.everybody import is_for_everybody
from tests.party import Party

PHONE = {"width": 360, "height": 740}
SOON_MS = 15_000


@pytest.fixture
async def server(settings_with: Callable[..., Settings]) -> AsyncIterator[Server]:
    async with serving(settings_with(unit_seconds=1.0)) as running:
        yield running


@pytest.fixture
async def talking(server: Server, open_call: Any) -> AsyncIterator[Any]:
    """A call in which both parties send."""
    call = await open_call()
    async with Party.joined(call.user, call.call_id) as user, Party.joined(call.otomo, call.call_id) as otomo:
        await user.send(440.0)
        await otomo.send(880.0)
        yield call


async def sign_in(page: Page, server: Server) -> None:
    await page.goto(server.url("/admin/"))
    await page.get_by_label("Token").fill(server.token("root", "admin"))
    await page.keyboard.press("Enter")
    await expect(page.locator("#overview")).to_be_visible()


async def test_only_an_admins_token_opens_it(server, launch):
    page = await (await launch(allowed=("401", "403"))).new_page()
    await page.goto(server.url("/admin"))
    token, problem = page.get_by_label("Token"), page.locator("#login-problem")
    await expect(token).to_be_focused()
    await token.fill("nonsense")
    await page.get_by_role("button", name="Sign in").click()
    await expect(problem).to_contain_text("does not accept this token")
    await token.fill(server.token("alice", "user"))
    await page.keyboard.press("Enter")
    await expect(problem).to_contain_text("its role is not admin")
    await token.fill(server.token("root", "admin"))
    await page.keyboard.press("Enter")
    await expect(page.locator("#ready")).to_have_text("ready")

    await page.reload()
    await expect(page.locator("#overview")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(token).to_be_focused()
    assert await page.evaluate("Object.keys(sessionStorage)") == []


async def test_a_token_that_expires_leads_back_to_the_login(server, launch):
    page = await (await launch(allowed=("401",))).new_page()
    await page.goto(server.url("/admin/"))
    await page.get_by_label("Token").fill(server.token("root", "admin", ttl_s=2))
    await page.keyboard.press("Enter")
    await expect(page.locator("#overview")).to_be_visible()
    await expect(page.locator("#login-problem")).to_contain_text("expired", timeout=SOON_MS)


async def test_workers_checks_and_charts_of_the_real_node_are_there(server, launch):
    page = await (await launch()).new_page()
    await sign_in(page, server)
    await expect(page.locator("#no-calls")).to_have_text("No live calls.")
    worker = page.locator(".worker")
    await expect(worker).to_have_count(1)
    await expect(worker.locator(".pill")).to_have_text("up")
    await expect(worker).to_contain_text(f"pid {server.pool.slots[0].worker.pid}")
    await expect(page.locator("#checks li").filter(has_text="Database writer")).to_contain_text("ok")
    await expect(page.locator("#charts .chart")).to_have_count(6)
    cpu = page.locator(".chart").filter(has_text="CPU").get_by_role("img")
    await expect(cpu.locator(".curve").first).to_be_attached(timeout=SOON_MS)
    await expect(cpu).to_have_attribute("aria-label", re.compile(r"^CPU now: workers [\d.]+ %, at most"))
    await cpu.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(cpu).to_have_attribute("aria-label", re.compile(r"^CPU at \d\d:\d\d:\d\d: workers"))


async def test_a_call_appears_is_looked_at_and_ended(server, launch, talking, http):
    page = await (await launch()).new_page()
    await sign_in(page, server)
    row = page.get_by_role("row").filter(has_text=talking.call_id)
    await expect(row).to_contain_text("talking", timeout=SOON_MS)
    await expect(row).to_contain_text(f"{talking.user_id} → {talking.otomo_id}")
    await row.get_by_role("link", name=talking.call_id).click()

    await expect(page.get_by_role("heading", level=1)).to_have_text(talking.call_id)
    await expect(page.locator(".party")).to_have_count(2)
    user = page.locator(".party").filter(has_text=talking.user_id)
    await expect(user.locator(".object").filter(has_text="Send transport")).to_contain_text("connected")
    packets = (
        user.locator(".object").filter(has_text="Sends audio").locator("div").filter(has_text="Packets").locator("dd")
    )
    await expect(packets).to_have_text(re.compile(r"^[1-9][\d,]*$"))
    before = await packets.text_content()
    await expect(packets).not_to_have_text(str(before))
    await expect(page.get_by_role("region", name="Timeline")).to_contain_text("Talking")
    await expect(page.get_by_role("region", name="Interruptions")).to_be_hidden()

    await page.get_by_role("button", name="End call").click()
    dialog = page.get_by_role("dialog", name="End this call?")
    await expect(dialog).to_contain_text(talking.user_id)
    await dialog.get_by_role("button", name="Let them talk").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#call .heading .pill")).to_have_text("talking")
    await page.get_by_role("button", name="End call").click()
    await dialog.get_by_label("Reason").fill("a test")
    await dialog.get_by_role("button", name="End the call").click()
    await expect(page.locator("#call .heading .pill")).to_have_text("ended")
    await expect(page.locator("#said")).to_have_text(f"Call {talking.call_id} was ended.")
    await expect(page.get_by_role("button", name="End call")).to_be_hidden()
    await expect(page.locator("#call .facts").first).to_contain_text("Admin")
    await page.get_by_role("link", name="Overview").click()
    await expect(page.locator("#no-calls")).to_be_visible()
    await page.get_by_label("Call id").fill(talking.call_id)
    await page.keyboard.press("Enter")
    await expect(page.locator("#call")).to_contain_text("The call is over; this is its record.")
    async with http.get(server.url(f"/calls/{talking.call_id}"), headers=server.headers("root", "admin")) as answer:
        assert (await answer.json())["endReason"] == "admin"


async def test_a_call_that_lost_its_room_says_so(server, talking, launch):
    page = await (await launch()).new_page()
    await sign_in(page, server)
    await page.goto(server.url(f"/admin/#/calls/{talking.call_id}"))
    state = page.locator("#call .heading .pill")
    await expect(state).to_have_text("talking", timeout=SOON_MS)
    os.kill(server.pool.slots[0].worker.pid, signal.SIGKILL)
    await expect(state).to_have_text("interrupted", timeout=SOON_MS)
    await expect(page.get_by_role("region", name="Interruptions")).to_contain_text("Worker died")
    await expect(page.get_by_role("region", name="Rooms")).to_contain_text("room 2: Worker died", timeout=SOON_MS)
    await expect(page.locator("#call .facts").first).to_contain_text("1 ×")


async def test_a_call_that_is_not_there_is_said_so(server, launch):
    page = await (await launch(allowed=("404",))).new_page()
    await sign_in(page, server)
    await page.goto(server.url("/admin/#/calls/nobody"))
    await expect(page.get_by_role("alert")).to_have_text("There is no such call.")


async def test_the_keyboard_alone_ends_a_call(server, launch, open_call):
    call = await open_call()
    page = await (await launch()).new_page()
    await sign_in(page, server)
    row = page.get_by_role("row").filter(has_text=call.call_id)
    await row.get_by_role("link").focus()
    await page.keyboard.press("Tab")
    await expect(row.get_by_role("button")).to_be_focused()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Reason")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(row.get_by_role("button")).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_label("Reason").press("Enter")
    await expect(row).to_have_count(0)
    await expect(page.get_by_role("heading", name="Live calls")).to_be_focused()


async def test_ids_stay_text_whatever_they_hold(server, launch, open_call):
    call = await open_call()
    evil = "<img/src=x/onerror=alert(1)>"
    await call.admin.open_call("evil", evil, "otomo&amp;<b>", price_per_minute=0)
    page = await (await launch()).new_page()
    await sign_in(page, server)
    row = page.get_by_role("row").filter(has_text="evil")
    await expect(row).to_contain_text(f"{evil} → otomo&amp;<b>")
    await row.get_by_role("link").click()
    await expect(page.locator(".who")).to_contain_text(evil)
    assert await page.locator("main img").count() == 0


async def test_numbers_are_as_short_as_they_say_something(server, launch):
    page = await (await launch()).new_page()
    await page.goto(server.url("/admin/"))
    written = await page.evaluate(
        """async () => {
          const { ago, bits, brief, bytes, duration, ms, percent, quality, words } = await import('./assets/format.js');
          return [
            brief(null), brief(0), brief(0.4219), brief(3.44), brief(42.4), brief(12345.6),
            percent(0.5), ms(null), bytes(512), bytes(1536), bytes(41_230_000), bits(640), bits(32_120),
            duration(59.9), duration(3725), duration(200_000), ago(null),
            quality(4.2).word, quality(3.7).word, quality(2).word, words('one_way_audio'), words('iceState'),
          ];
        }"""
    )
    assert written[:6] == ["–", "0", "0.42", "3.4", "42", "12,346"]
    assert written[6:13] == ["0.50 %", "–", "512 B", "1.5 KiB", "39 MiB", "640 bit/s", "32 kbit/s"]
    assert written[13:17] == ["0:59", "1:02:05", "2 d 7 h", "–"]
    assert written[17:] == ["good", "fair", "poor", "One way audio", "Ice state"]


async def test_a_node_drains_and_takes_calls_again(server, launch, http):
    page = await (await launch(allowed=("503",))).new_page()
    await sign_in(page, server)
    await page.get_by_role("button", name="Drain …").click()
    dialog = page.get_by_role("dialog", name="Take no new calls?")
    await dialog.get_by_label("Minutes").fill("5")
    await dialog.get_by_role("button", name="Drain").click()
    await expect(page.locator("#draining")).to_contain_text(
        re.compile(r"0 calls left\. What is left at \d\d:\d\d:\d\d is ended")
    )
    await expect(page.locator("#ready")).to_have_text("draining")
    async with http.get(server.url("/health/ready")) as answer:
        assert answer.status == 503
    await page.get_by_role("button", name="Take calls again").click()
    await expect(page.locator("#draining")).to_be_hidden()
    await expect(page.locator("#ready")).to_have_text("ready")


async def test_silence_of_the_server_is_shown_until_it_ends(server, launch):
    context = await launch(allowed=("ERR_INTERNET_DISCONNECTED",))
    page = await context.new_page()
    await sign_in(page, server)
    await expect(page.locator("#ready")).to_have_text("ready")
    await context.set_offline(True)
    await expect(page.locator("#offline")).to_contain_text("What you see is of", timeout=SOON_MS)
    await context.set_offline(False)
    await expect(page.locator("#offline")).to_be_hidden(timeout=SOON_MS)


async def test_the_dashboard_is_for_everybody(server, launch, axe, talking):
    page = await (await launch(viewport=PHONE)).new_page()
    await page.goto(server.url("/admin/"))
    await is_for_everybody(page, axe, PHONE["width"])
    await sign_in(page, server)
    await expect(page.get_by_role("row").filter(has_text=talking.call_id)).to_contain_text("talking", timeout=SOON_MS)
    await expect(page.locator(".curve").first).to_be_attached(timeout=SOON_MS)
    await is_for_everybody(page, axe, PHONE["width"])
    await page.get_by_role("link", name=talking.call_id).click()
    await expect(page.locator(".object").first).to_be_visible()
    await is_for_everybody(page, axe, PHONE["width"])
    await page.get_by_role("button", name="End call").click()
    await is_for_everybody(page, axe, PHONE["width"])
