"""The dashboard's page of one person: points given and taken, bans and tokens, by the keyboard alone; on a phone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import aiohttp
from playwright.async_api import expect

from tests.app.ledger.ledger_samples import credit
from tests.integration.browser.admins import PHONE, SOON_MS, past_call, press, sign_in, tab_to, write
from tests.integration.browser.everybody import is_for_everybody

START = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)


async def opened(server, launch, person: str = "user/alice", allowed: tuple[str, ...] = (), **options):
    """Signed in, at that person, who may have no wallet yet (404)."""
    page = await (await launch(timezone_id="Asia/Tokyo", allowed=("404", *allowed), **options)).new_page()
    await sign_in(page, server, f"#/people/{person}")
    await expect(page.locator("#person .pill").first).to_be_visible(timeout=SOON_MS)
    return page


def field(page, label: str):
    """A field of the form that books points."""
    return page.locator("#person form").get_by_label(label)


async def book(page, **fields: str):
    """Fill in the form by the keyboard, and come to its question."""
    await field(page, "What").focus()
    for label, text in fields.items():
        await write(field(page, label), text)
    await press(page.get_by_role("button", name="Book …"))
    return page.get_by_role("dialog")


async def test_the_keyboard_alone_finds_a_person_with_their_calls(server, launch):
    await credit(server.ledger, 1000, "alice")
    await past_call(server, "call", at_ms=START, units=2)
    page = await (await launch()).new_page()
    await sign_in(page, server)
    await press(page.get_by_role("link", name="People"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("People")
    await write(page.get_by_label("Id", exact=True), "alice")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("User alice")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page.get_by_role("region", name="Points")).to_contain_text("800", timeout=SOON_MS)
    calls = page.get_by_role("region", name="Calls")
    await expect(calls.locator("tbody tr")).to_contain_text("200")
    await press(calls.get_by_role("link", name="hana"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Otomo hana")
    await expect(page.get_by_role("region", name="Points")).to_have_count(0)
    await press(page.get_by_role("link", name="Search these calls"))
    await expect(page.get_by_label("Otomo", exact=True)).to_have_value("hana")
    await expect(page.locator("#found tbody th")).to_have_text(["call"])


async def test_points_are_given_and_taken_after_a_question(server, launch):
    page = await opened(server, launch)
    points = page.get_by_role("region", name="Points")
    await expect(points).to_contain_text("No wallet yet")
    dialog = await book(page, Points="500", Reason="a present")
    await expect(dialog).to_contain_text("500 paid points for alice. Reason: a present")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("button", name="Book …")).to_be_focused()
    assert await server.ledger.balance("alice") is None
    await page.keyboard.press("Enter")
    await press(dialog.get_by_role("button", name="Book"))
    await expect(page.locator("#said")).to_have_text("alice holds 500 points now.")
    await expect(points).to_contain_text("500", timeout=SOON_MS)
    await expect(field(page, "Points")).to_have_value("")

    await field(page, "Kind").select_option("bonus")
    await field(page, "Expire").fill("2030-01-01T09:00")  # midnight in UTC
    dialog = await book(page, Points="70", Reason="spring")
    await expect(dialog).to_contain_text("70 bonus points for alice, which expire 1 Jan 2030")
    await press(dialog.get_by_role("button", name="Book"))
    await expect(points.locator("tbody tr").first).to_contain_text(re.compile("bonus.*70.*1 Jan 2030"), timeout=SOON_MS)
    holdings = await server.ledger.holdings("alice", at_ms=START)
    assert [(lot.kind, lot.remaining) for lot in holdings.lots] == [("bonus", 70), ("paid", 500)]
    assert holdings.lots[0].expires_at_ms == int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000)

    await field(page, "What").select_option("take")
    await expect(field(page, "Expire")).to_be_hidden()
    dialog = await book(page, Points="501", Reason="a mistake")
    await expect(dialog).to_contain_text("501 paid points from alice")
    assert await server.ledger.audit() == ()


async def test_what_is_refused_is_said_in_words_and_can_be_mended(server, launch):
    await credit(server.ledger, 100, "alice")
    page = await opened(server, launch, allowed=("402", "400"))
    await field(page, "What").select_option("take")
    dialog = await book(page, Points="101", Reason="a mistake")
    await press(dialog.get_by_role("button", name="Book"))
    await expect(dialog.get_by_role("alert")).to_have_text("The wallet does not hold so many points of that kind.")
    await page.keyboard.press("Escape")
    await field(page, "What").select_option("give")
    await field(page, "Expire").fill("2001-01-01T00:00")
    await press(page.get_by_role("button", name="Book …"))
    await press(dialog.get_by_role("button", name="Book"))
    await expect(dialog.get_by_role("alert")).to_contain_text("Expires at must lie in the future")
    await press(dialog.get_by_role("button", name="Not now"))
    assert (await server.ledger.balance("alice")).balance == 100


async def test_a_booking_whose_answer_was_lost_counts_once(server, launch):
    page = await opened(server, launch, allowed=("ERR_FAILED",))
    lost = []

    async def lose(route):
        if not lost:
            await route.fetch()
            lost.append(route)
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/adjust", lose)
    dialog = await book(page, Points="500", Reason="a present")
    await press(dialog.get_by_role("button", name="Book"))
    await expect(dialog.get_by_role("alert")).to_have_text("The server does not answer.")
    await press(dialog.get_by_role("button", name="Book"))
    await expect(page.locator("#said")).to_have_text("alice holds 500 points now.")
    assert (await server.ledger.balance("alice")).balance == 500


async def test_a_person_is_banned_let_in_and_signed_out(server, launch):
    page = await opened(server, launch)
    state = page.locator("#person .pill").first
    await expect(state).to_have_text("let in")
    await press(page.get_by_role("button", name="Ban …"))
    dialog = page.get_by_role("dialog", name="Ban user alice?")
    await write(dialog.get_by_label("Reason"), "spam")
    await page.keyboard.press("Enter")
    await expect(state).to_have_text("banned")
    await expect(page.locator("#said")).to_have_text("User alice is banned.")
    await expect(page.locator("#person .facts").first).to_contain_text("for ever")
    await expect(page.get_by_role("button", name="Change the ban …")).to_be_focused()
    async with aiohttp.ClientSession() as http:
        headers = server.headers("alice", "user")
        async with http.get(server.url("/wallet/balance"), headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]) == (403, "BANNED")

        await page.keyboard.press("Enter")
        await expect(dialog.get_by_label("Reason")).to_have_value("spam")
        await dialog.get_by_label("Until").fill("2030-01-01T09:00")
        await press(dialog.get_by_role("button", name="Ban", exact=True))
        await expect(page.locator("#person .facts").first).to_contain_text("1 Jan 2030, 09:00:00")

        await tab_to(page.get_by_role("button", name="Lift the ban"), "Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(state).to_have_text("let in")
        await expect(page.get_by_role("button", name="Ban …")).to_be_focused()

        await press(page.get_by_role("button", name="Revoke tokens …"))
        dialog = page.get_by_role("dialog", name="Revoke all tokens of user alice?")
        await press(dialog.get_by_role("button", name="Keep them"))
        async with http.get(server.url("/calls"), headers=headers) as answer:
            assert answer.status == 200
        await page.keyboard.press("Enter")
        await press(dialog.get_by_role("button", name="Revoke"))
        await expect(page.locator("#said")).to_have_text("The tokens of user alice are refused from now on.")
        async with http.get(server.url("/calls"), headers=headers) as answer:
            assert answer.status == 401


async def test_a_ban_that_can_not_be_is_refused_in_words(server, launch):
    page = await opened(server, launch, allowed=("400",))
    await press(page.get_by_role("button", name="Ban …"))
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Until").fill("2001-01-01T00:00")
    await dialog.get_by_label("Reason").fill("spam")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("That can’t be: Until must be in the future.")


async def test_ids_of_any_kind_lead_to_their_person(server, launch):
    evil = "a/b?c#d%&<img/src=x>"
    await credit(server.ledger, 1000, evil)
    await past_call(server, "call", evil, at_ms=START)
    page = await (await launch()).new_page()
    await sign_in(page, server, "#/calls/call")
    await press(page.get_by_role("link", name=evil))
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"User {evil}")
    await expect(page.get_by_role("region", name="Points")).to_contain_text("1,000", timeout=SOON_MS)
    await press(page.get_by_role("link", name="call", exact=True))
    await expect(page.get_by_role("heading", level=1)).to_have_text("call")
    await expect(page.get_by_role("link", name=f"← User {evil}")).to_be_visible()
    assert await page.locator("main img").count() == 0


async def test_a_person_is_for_everybody(server, launch, axe):
    await credit(server.ledger, 1000, "alice")
    await past_call(server, "call", at_ms=START, units=2)
    page = await opened(server, launch, viewport=PHONE)
    await expect(page.get_by_role("region", name="Points").locator("tbody tr")).to_have_count(1)
    await is_for_everybody(page, axe, PHONE["width"])
    await press(page.get_by_role("button", name="Ban …"))
    await is_for_everybody(page, axe, PHONE["width"])
    await page.keyboard.press("Escape")
    dialog = await book(page, Points="500", Reason="a present")
    await expect(dialog).to_be_visible()
    await is_for_everybody(page, axe, PHONE["width"])
