"""An admin at the dashboard, by the keyboard where a test says so; and calls that were, for them to find."""

from __future__ import annotations

from typing import Any, Final

from playwright.async_api import Locator, Page, expect

from app.ledger.values import Unit, UnitDue
from schemas.call import CallState
from tests.app.ledger.ledger_samples import charged, end_call, matched_call, move, open_call
from tests.conftest import Server

PHONE: Final = {"width": 360, "height": 740}
SOON_MS: Final = 15_000
MOST_TABS = 80  # an input of a day and time is seven stops
SEEN = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return true; // the end of the page, after which it begins anew
  const shown = focused.matches('[type=radio]') ? focused.nextElementSibling : focused;
  return getComputedStyle(shown).outlineStyle !== 'none' && shown.getBoundingClientRect().right <= innerWidth;
}"""


async def sign_in(page: Page, server: Server, place: str = "") -> None:
    """By the keyboard, at ``place``, such as `#/money`."""
    await page.goto(server.url(f"/admin/{place}"))
    await expect(page.get_by_label("Token")).to_be_focused()
    await page.keyboard.type(server.token("root", "admin"))
    await page.keyboard.press("Enter")
    await expect(page.locator("#login")).to_be_hidden()


async def tab_to(target: Locator, key: str = "Tab") -> None:
    """Go there with the keyboard. Each stop on the way is seen to have the focus, and is on the screen."""
    for _ in range(MOST_TABS):
        await target.page.keyboard.press(key)
        assert await target.page.evaluate(SEEN), await target.page.evaluate(
            "document.activeElement.outerHTML.slice(0, 200)"
        )
        if await target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by {key}")


async def press(target: Locator, key: str = "Enter") -> None:
    """Go there with the keyboard, and press a key."""
    await tab_to(target)
    await target.page.keyboard.press(key)


async def write(target: Locator, text: str) -> None:
    """Go there with the keyboard, and type."""
    await tab_to(target)
    await target.page.keyboard.type(text)


async def past_call(
    server: Server,
    call_id: str,
    user_id: str = "alice",
    otomo_id: str = "hana",
    *,
    at_ms: int,
    units: int = 0,
    reason: str = "manual",
    **changed: Any,
) -> list[Unit]:
    """A call that began at that moment, talked for so many minutes, and has ended. Whoever pays has the points."""
    ledger = server.ledger
    await open_call(ledger, matched_call(call_id, user_id, otomo_id, created_at_ms=at_ms, **changed))
    await move(ledger, call_id, CallState.TALKING, cause="rtp", at_ms=at_ms)
    stored = []
    for index in range(1, units + 1):
        due = UnitDue(call_id, 1, index, at_ms + index * 60_000, index * 60_000)
        stored.append(charged(await ledger.charge_unit(due)).unit)
    await end_call(ledger, call_id, reason=reason, ended_at_ms=at_ms + units * 60_000, duration_seconds=units * 60)
    return stored
