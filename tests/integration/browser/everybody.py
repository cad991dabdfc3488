"""What keeps people from using a page: looked for by axe-core, by day and by night."""

from __future__ import annotations

from playwright.async_api import Page


async def is_for_everybody(page: Page, axe: str, width: int) -> None:
    """``axe`` is its script; ``width`` the screen's, in pixels, beyond which the page must not reach."""
    await page.evaluate(axe)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found = await page.evaluate("axe.run().then(({ violations }) => violations)")
        assert not [(scheme, one["id"], [node["html"] for node in one["nodes"]]) for one in found]
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, "it is wider than the screen"
