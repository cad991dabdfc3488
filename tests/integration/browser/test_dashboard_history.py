"""The dashboard's search over all calls: found by the keyboard alone, opened, and taken as a file; on a phone."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

from playwright.async_api import Page, expect

from app.ledger.values import Feedback, RefundAsked
from schemas.tariff import Tariff
from tests.app.ledger.ledger_samples import credit
from tests.integration.browser.admins import PHONE, SOON_MS, past_call, press, sign_in, tab_to, write
from tests.integration.browser.everybody import is_for_everybody

START = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
TARIFF = Tariff(unit_seconds=60, unit_points=100, charge="elapsed", free_seconds=30, minimum_units=2, max_seconds=3600)
MANY = 60  # calls: more than a page


async def some_calls(server) -> None:
    await credit(server.ledger, 1000, "alice")
    metadata = {"order": "17", "shop": "梅田"}
    await past_call(server, "paid", at_ms=START, units=3, metadata=metadata, tariff=TARIFF)
    await past_call(server, "later", "bea", at_ms=START + HOUR_MS, reason="admin", metadata={"order": "18"})
    await past_call(server, "others", "bea", "rin", at_ms=START + 2 * HOUR_MS, reason="timeout")


def found(page: Page):
    return page.locator("#found tbody th")


async def test_the_keyboard_alone_finds_calls_and_opens_one(server, launch):
    await some_calls(server)
    page = await (await launch(timezone_id="Asia/Tokyo")).new_page()
    await sign_in(page, server)
    await press(page.get_by_role("link", name="History"))
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page.locator("#pages a[aria-current=page]")).to_have_text("History")
    await expect(found(page)).to_have_text(["others", "later", "paid"])
    await expect(page.locator("#found [role=status]")).to_have_text("3 calls.")

    await write(page.get_by_label("User", exact=True), "bea")
    await page.keyboard.press("Enter")
    await expect(found(page)).to_have_text(["others", "later"])
    await expect(page.get_by_label("User", exact=True)).to_be_focused()
    await write(page.get_by_label("End", exact=True), "admin")
    await page.keyboard.press("Enter")
    await expect(found(page)).to_have_text(["later"])
    await page.go_back()
    await expect(found(page)).to_have_text(["others", "later"])
    await expect(page.get_by_label("End", exact=True)).to_have_value("")
    await tab_to(page.get_by_role("button", name="Clear"))
    await page.keyboard.press("Enter")
    await press(page.get_by_role("button", name="Search"))
    await expect(found(page)).to_have_text(["others", "later", "paid"])

    await press(page.get_by_role("link", name="paid"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("paid")
    await tab_to(page.get_by_role("link", name="← History"), "Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(found(page)).to_have_text(["others", "later", "paid"])


async def test_calls_are_found_by_time_and_metadata(server, launch):
    await some_calls(server)
    page = await (await launch(timezone_id="Asia/Tokyo", allowed=("400",))).new_page()
    await sign_in(page, server, "#/history")
    await page.get_by_label("Opened from").fill("2026-03-01T22:00")  # 13:00 in UTC
    await page.get_by_label("Opened before").fill("2026-03-01T23:00")
    await page.get_by_role("button", name="Search").click()
    await expect(found(page)).to_have_text(["later"])
    assert "from=2026-03-01T13%3A00%3A00.000Z" in page.url
    await page.reload()
    await expect(found(page)).to_have_text(["later"])
    await expect(page.get_by_label("Opened from")).to_have_value("2026-03-01T22:00")

    await page.get_by_role("button", name="Clear").click()
    await page.get_by_label("Key").fill("order")
    await page.get_by_label("Text").fill("17")
    await page.get_by_role("button", name="Another key").click()
    await expect(page.get_by_label("Key").nth(1)).to_be_focused()
    await page.keyboard.type("shop")
    await page.get_by_label("Text").nth(1).fill("梅田")
    await page.get_by_role("button", name="Search").click()
    await expect(found(page)).to_have_text(["paid"])
    await page.get_by_label("Key").nth(1).fill("no key")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#found [role=alert]")).to_contain_text("must be made of A-Z a-z 0-9 _ . -")


async def test_a_search_without_result_says_so(server, launch):
    page = await (await launch()).new_page()
    await sign_in(page, server, "#/history?state=all&userId=nobody")
    await expect(page.locator("#found")).to_contain_text("No such calls.")
    await expect(page.get_by_label("User", exact=True)).to_have_value("nobody")


async def test_more_calls_follow_and_the_focus_goes_on(server, launch):
    for number in range(MANY):
        await past_call(server, f"call-{number}", at_ms=START + number * HOUR_MS)
    page = await (await launch()).new_page()
    await sign_in(page, server, "#/history")
    await expect(page.locator("#found [role=status]")).to_have_text("The newest 50 calls; there are more.")
    await tab_to(page.get_by_role("button", name="Show more"), "Shift+Tab")  # the page's last stop
    await page.keyboard.press("Enter")
    await expect(found(page)).to_have_count(MANY)
    await expect(page.get_by_role("link", name="call-9", exact=True)).to_be_focused()
    await expect(page.get_by_role("button", name="Show more")).to_be_hidden()


async def test_the_same_search_is_taken_as_a_file(server, launch):
    await some_calls(server)
    page = await (await launch()).new_page()
    await sign_in(page, server, "#/history?state=all&userId=bea")
    await expect(found(page)).to_have_text(["others", "later"])
    async with page.expect_download() as downloading:
        await press(page.get_by_role("button", name="Download all as CSV"))
    download = await downloading.value
    assert download.suggested_filename == "calls.csv"
    with (await download.path()).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["callId"] for row in rows] == ["others", "later"]
    await expect(page.locator("#csv-state")).to_contain_text("calls.csv, ")
    await expect(page.get_by_role("button", name="Download all as CSV")).to_be_focused()


async def test_a_calls_record_has_its_tariff_units_refunds_and_feedback(server, launch):
    await some_calls(server)
    await server.ledger.refund(RefundAsked("paid", None, 1, "bad line", "refund"), at_ms=START + HOUR_MS)
    await server.ledger.give_feedback("paid", Feedback("user", 4, ("sound",), "also <b>nice</b>", START + HOUR_MS))
    page = await (await launch()).new_page()
    await sign_in(page, server, "#/calls/paid")
    tariff = page.get_by_role("region", name="Tariff")
    await expect(tariff).to_contain_text("100 points for 60 s")
    await expect(tariff).to_contain_text("when a unit is over")
    await expect(tariff).to_contain_text("the first 0:30")
    await expect(tariff).to_contain_text("2 units")
    await expect(tariff).to_contain_text("1:00:00")
    units = page.get_by_role("region", name="Units", exact=True)
    await press(units.get_by_text("3 units, 300 points"))
    await expect(units.locator("tbody th")).to_have_text(["3", "2", "1"])
    await expect(page.get_by_role("region", name="Given back")).to_contain_text("bad line")
    await expect(page.get_by_role("region", name="Metadata")).to_contain_text("梅田")
    feedback = page.get_by_role("region", name="What they thought of it")
    await expect(feedback).to_contain_text("4 of 5: user alice")
    await expect(feedback).to_contain_text("sound · also <b>nice</b>")
    await tab_to(page.get_by_role("link", name="alice"), "Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("User alice")


async def test_the_history_and_a_record_are_for_everybody(server, launch, axe):
    await some_calls(server)
    await server.ledger.refund(RefundAsked("paid", None, 1, "bad line", "refund"), at_ms=START + HOUR_MS)
    await server.ledger.give_feedback("paid", Feedback("otomo", 5, (), "x" * 300, START + HOUR_MS))
    page = await (await launch(viewport=PHONE)).new_page()
    await sign_in(page, server, "#/history")
    await expect(found(page)).to_have_count(3)
    await is_for_everybody(page, axe, PHONE["width"])
    await press(page.get_by_role("link", name="paid"))
    await expect(page.get_by_role("region", name="Given back")).to_be_visible(timeout=SOON_MS)
    await press(page.get_by_text("3 units, 300 points"))
    await is_for_everybody(page, axe, PHONE["width"])
