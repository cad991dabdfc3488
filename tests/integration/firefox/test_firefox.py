"""Firefox against a node with its default settings: the demo page, and the documented recipe, in both directions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.integration.firefox.browsers import Browsers, Kind, Page
from tests.integration.firefox.nodes import IPV6, PEERS, DefaultNode, MatchedCall, running_node
from tests.network import Network

PACKETS = 150  # three seconds
LEAST_LEVEL = 0.01  # root mean square; a whole scale is 1, and both browsers' microphones beep or sing far above this

pytestmark = pytest.mark.timeout(180)  # browsers start slowly on a busy machine


async def hears(page: Page) -> None:
    """Packets come, and what the browser makes of them is loud."""
    before = await page.evaluate("peers.heard()")
    wanted = before["packets"] + PACKETS
    await page.until(f"peers.heard().then(({{ packets }}) => packets >= {wanted})")
    now = await page.evaluate("peers.heard()")
    energy, seconds = now["energy"] - before["energy"], now["seconds"] - before["seconds"]
    assert seconds > 0
    assert (energy / seconds) ** 0.5 >= LEAST_LEVEL  # W3C webrtc-stats: totalAudioEnergy is a sum of squares by time


@pytest.mark.parametrize("machine", [(IPV6,)], ids=["ipv6"], indirect=True)
@pytest.mark.parametrize("other", ["firefox", "chromium"])
async def test_the_documented_recipe_lets_firefox_talk_with(
    other: Kind, node: DefaultNode, browsers: Browsers, matched: MatchedCall
):
    pages = []
    firefox = await browsers.launch("firefox", node.base)
    theirs = firefox if other == "firefox" else await browsers.launch(other, node.base)
    for browser, token in ((firefox, matched.user_token), (theirs, matched.otomo_token)):
        who = urlencode({"callId": matched.call_id, "token": token})
        pages.append(await browsers.open(browser, f"{node.base}/recipe#{who}", PEERS))
    for page in pages:
        await page.click("#join")
        await page.until("document.getElementById('said').textContent !== ''")
        assert await page.evaluate("document.getElementById('said').textContent") == "joined"
    await asyncio.gather(*map(hears, pages))


async def in_phase(phase: str, *pages: Page) -> None:
    for page in pages:
        await page.until(f"document.querySelector('.phone').dataset.phase === '{phase}'")


@pytest.mark.parametrize("other", ["firefox", "chromium"])
async def test_the_demo_page_lets_firefox_talk_with(other: Kind, node: DefaultNode, browsers: Browsers):
    firefox = await browsers.launch("firefox", node.base)
    theirs = firefox if other == "firefox" else await browsers.launch(other, node.base)
    user = await browsers.open(firefox, f"{node.base}/demo", PEERS)
    await user.until("document.getElementById('open-other').href.includes('pair=')")
    otomo = await browsers.open(theirs, await user.evaluate("document.getElementById('open-other').href"), PEERS)
    await user.until("!document.getElementById('call').disabled")
    await user.click("#call")
    await in_phase("incoming", otomo)
    await otomo.click("#accept")
    await in_phase("talking", user, otomo)
    await asyncio.gather(hears(user), hears(otomo))
    for page in (user, otomo):
        assert await page.evaluate("document.getElementById('status').textContent") == "Talking"
        await page.until("Number(document.getElementById('their-level').getAttribute('aria-valuenow')) >= 30")
    await user.click("#hang-up")
    await in_phase("ended", user, otomo)


async def test_the_demo_page_says_why_firefox_gets_no_sound_of_a_node_on_loopback_alone(
    machine: Network, browsers: Browsers, recipe: Path, tmp_path: Path
):
    with running_node(machine, recipe, tmp_path, VOICEPLANE_RTC_LISTEN_IP="127.0.0.1") as node:
        firefox = await browsers.launch("firefox", node.base)
        user = await browsers.open(firefox, f"{node.base}/demo")
        await user.until("document.getElementById('open-other').href.includes('pair=')")
        otomo = await browsers.open(firefox, await user.evaluate("document.getElementById('open-other').href"))
        await user.until("!document.getElementById('call').disabled")
        await user.click("#call")
        await in_phase("incoming", otomo)
        await otomo.click("#accept")
        for page in (user, otomo):
            await page.until("document.getElementById('status').textContent === 'In the call, but without sound'")
            told = await page.evaluate("document.getElementById('hint').textContent")
            assert "does not reach the server’s media at 127.0.0.1:40000." in told
            assert "Firefox uses no loopback address" in told
        await user.click("[data-language=ja]")
        assert "Firefox はループバックアドレスを使いません" in await user.evaluate(
            "document.getElementById('hint').textContent"
        )
