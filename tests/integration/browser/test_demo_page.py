"""The demo page in Chromium: two windows call each other, as a newcomer would do it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import BrowserContext, Page, WebSocketRoute, expect

from app.settings import Settings
from tests.conftest import Server, serving
from tests.integration.browser.everybody import is_for_everybody
from tests.integration.firefox.nodes import PEERS

PHONE = {"width": 360, "height": 740}
UNIT_S = 2.0
PRICE = 10
LOUD = re.compile(r"^([3-9]\d|100)$")  # a level that is more than noise
DOMINANT_HZ = """async () => {
  const engine = new AudioContext();
  const analyser = new AnalyserNode(engine, { fftSize: 16384, smoothingTimeConstant: 0 });
  const tracks = peers.all.flatMap((peer) => peer.getReceivers().map(({ track }) => track));
  const mediaStream = new MediaStream(tracks.filter((track) => track.readyState === 'live' && !track.muted));
  new MediaStreamAudioSourceNode(engine, { mediaStream }).connect(analyser);
  await new Promise((done) => setTimeout(done, 600));
  const spectrum = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(spectrum);
  const loudest = spectrum.reduce((best, level, bin) => (level > spectrum[best] ? bin : best), 0);
  const rate = engine.sampleRate;
  await engine.close();
  return spectrum[loudest] < -70 ? 0 : (loudest * rate) / 16384;
}"""

STALLED_ENGINE = """window.AudioContext = class extends AudioContext {
  constructor() {
    super();
    super.suspend();
  }
  resume() {
    return new Promise(() => {});
  }
};"""  # as where there is no sound card


@pytest.fixture
async def node(settings_with: Callable[..., Settings], pages_built: None) -> AsyncIterator[Server]:
    async with serving(settings_with(demo="on", unit_seconds=UNIT_S, price_per_minute=PRICE)) as running:
        yield running


async def both_windows(context: BrowserContext, base: str) -> tuple[Page, Page]:
    """The user's window, and the otomo's, which the first one opens."""
    user = await context.new_page()
    await user.goto(f"{base}/demo")
    async with context.expect_page() as opened:
        await user.locator("#open-other").click()
    otomo = await opened.value
    await expect(user.locator("#call")).to_be_enabled()
    return user, otomo


async def in_phase(phase: str, *pages: Page, within_s: float = 15) -> None:
    for page in pages:
        await expect(page.locator(".phone")).to_have_attribute("data-phase", phase, timeout=within_s * 1000)


async def hears(page: Page) -> None:
    await expect(page.locator("#their-level")).to_have_attribute("aria-valuenow", LOUD, timeout=15_000)


async def talk(user: Page, otomo: Page) -> None:
    await user.locator("#call").click()
    await otomo.locator("#accept").click()
    await in_phase("talking", user, otomo)


async def test_two_windows_hear_each_other_and_the_points_tick(node, launch, http):
    user, otomo = await both_windows(await launch(), node.base)
    await expect(user.locator("#points")).to_have_text("1000")

    await user.locator("#call").click()
    await in_phase("ringing", user)
    await otomo.locator("#accept").click()
    await in_phase("talking", user, otomo)
    await hears(user)
    await hears(otomo)
    await expect(user.locator("#points")).to_have_text(re.compile("^9.0$"), timeout=10_000)
    await expect(otomo.locator("#points")).to_have_text(re.compile("^[1-9]0$"))
    await expect(user.locator("#log")).to_contain_text("sfu_rtp_detected")

    await otomo.locator("#mute").click()
    await expect(otomo.locator("#mute")).to_have_attribute("aria-pressed", "true")
    await expect(user.locator("#their-muted")).to_be_visible()
    await otomo.locator("#mute").click()
    await expect(user.locator("#their-muted")).to_be_hidden()
    await hears(user)

    admin = node.headers("root", "admin")
    async with http.post(node.url("/admin/drain"), headers=admin, json={"deadlineSeconds": 600}):
        await expect(user.locator("#hint")).to_contain_text("The server is about to stop")
    async with http.delete(node.url("/admin/drain"), headers=admin):
        await expect(user.locator("#hint")).to_contain_text("Same room?")

    await otomo.locator("#hang-up").click()
    await in_phase("ended", user, otomo)
    await expect(user.locator("#hint")).to_contain_text("Somebody hung up.")
    await expect(user.locator("#call")).to_be_enabled()


async def test_both_are_warned_before_the_points_end_the_call(settings_with, launch, pages_built, http):
    settings = settings_with(demo="on", unit_seconds=40.0, price_per_minute=1000)  # the points are one unit's
    async with serving(settings) as node:
        context = await launch(viewport=PHONE)
        user, otomo = await both_windows(context, node.base)
        await expect(user.locator("#ending")).to_be_hidden()
        await talk(user, otomo)
        warning = user.get_by_role("alert").filter(has_text="The points are used up at")
        await expect(warning).to_have_text(
            re.compile(r"at \d\d:\d\d:\d\d, and the call ends\. With 1000 more points it goes on\.$"), timeout=15_000
        )
        await expect(user.locator("#ending-left")).to_have_text(re.compile(r"^0:[1-3]\d$"))
        await expect(otomo.locator("#ending")).to_contain_text("It goes on if the user gets more.")
        assert await user.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await user.get_by_role("button", name="日本語").click()
        await expect(user.locator("#ending")).to_contain_text("あと1000ポイントあれば続けられます。")

        body = {"amount": 50_000, "reason": "gift", "idempotencyKey": "more"}
        user_id = (await node.ledger.calls_of(limit=1)).items[0].user_id
        admin = node.headers("root", "admin")
        async with http.post(node.url(f"/admin/wallets/{user_id}/adjust"), headers=admin, json=body) as answer:
            assert answer.status == 200
        await expect(user.locator("#ending")).to_be_hidden()
        await in_phase("talking", user, otomo)
        await context.close()


async def test_an_otomo_takes_no_calls_and_the_user_sees_it(node, launch):
    user, otomo = await both_windows(await launch(), node.base)
    await expect(user.locator("#otomos li")).to_have_attribute("data-status", "online")
    await otomo.locator("#away").click()
    await expect(otomo.locator("#away")).to_have_attribute("aria-pressed", "true")
    await expect(user.locator("#otomos li")).to_have_attribute("data-status", "away")
    await expect(user.locator("#status")).to_have_text("The otomo takes no calls now")
    await expect(user.locator("#call")).to_be_disabled()
    await otomo.locator("#away").click()
    await expect(user.locator("#call")).to_be_enabled()


async def test_who_refuses_the_microphone_can_send_a_tone(node, launch):
    context = await launch("--use-fake-ui-for-media-stream=deny")
    await context.add_init_script(PEERS)
    user, otomo = await both_windows(context, node.base)
    await user.locator("#call").click()
    await in_phase("refused", user)
    await expect(user.locator("#hint")).to_contain_text("refused the microphone")
    await user.locator("#use-tone").click()
    await in_phase("ringing", user)
    await otomo.locator("#accept").click()
    await in_phase("refused", otomo)
    await otomo.locator("#use-tone").click()
    await in_phase("talking", user, otomo)
    await hears(otomo)
    assert await otomo.evaluate(DOMINANT_HZ) == pytest.approx(440, abs=6)
    assert await user.evaluate(DOMINANT_HZ) == pytest.approx(440, abs=6)


async def test_an_audio_engine_that_never_starts_holds_nothing_up_but_its_own_tone(node, launch):
    context = await launch("--use-fake-ui-for-media-stream=deny")
    await context.add_init_script(STALLED_ENGINE)
    user, otomo = await both_windows(context, node.base)
    for page, button in ((user, "#call"), (otomo, "#accept")):
        await page.locator(button).click()
        await page.locator("#use-tone").click()
    for page in (user, otomo):
        await expect(page.locator("#status")).to_have_text("In the call, but without sound", timeout=15_000)
        await expect(page.locator("#hint")).to_contain_text("The browser’s audio engine does not start")


async def test_media_that_is_not_reached_is_told_with_where_it_should_be(settings_with, pages_built, launch):
    async with serving(settings_with(demo="on", rtc_announced_address=("127.0.0.9",))) as node:
        user, otomo = await both_windows(await launch(), node.base)
        await user.locator("#call").click()
        await otomo.locator("#accept").click()
        for page in (user, otomo):
            await expect(page.locator("#status")).to_have_text("In the call, but without sound", timeout=15_000)
            place = f"127.0.0.9:{node.settings.rtc_port}"
            await expect(page.locator("#hint")).to_contain_text(f"does not reach the server’s media at {place}.")
        await user.context.close()  # before the node, whose end it would complain of


async def test_a_declined_call_and_one_that_was_given_up_cost_nothing(node, launch):
    user, otomo = await both_windows(await launch(), node.base)
    await user.locator("#call").click()
    await otomo.locator("#reject").click()
    await in_phase("ended", user, otomo)
    await expect(user.locator("#hint")).to_have_text(
        re.compile(r"The otomo declined\.\s+No sound reached the server, so nothing was charged\.")
    )
    await user.locator("#call").click()
    await in_phase("incoming", otomo)
    await user.locator("#hang-up").click()
    await in_phase("ended", user, otomo)
    await expect(otomo.locator("#hint")).to_contain_text("The user gave up.")
    await expect(user.locator("#points")).to_have_text("1000")


async def test_a_reloaded_window_goes_back_into_its_call(node, launch):
    user, otomo = await both_windows(await launch(), node.base)
    await talk(user, otomo)
    await otomo.reload()
    await in_phase("rejoin", otomo)
    await otomo.locator("#rejoin").click()
    await in_phase("talking", otomo)
    await hears(otomo)
    await hears(user)
    await in_phase("talking", user)


async def test_a_lost_socket_comes_back_and_misses_nothing(node, launch):
    context = await launch(allowed=("404",))  # what the client asks of a call that ends at the same moment
    cut: list[WebSocketRoute] = []

    def through(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        cut.append(socket)

    user, otomo = await both_windows(context, node.base)
    await user.route_web_socket(re.compile("/ws"), through)
    await user.reload()
    await expect(user.locator("#call")).to_be_enabled()
    await talk(user, otomo)
    await expect(user.locator("#points")).to_have_text(re.compile("^9.0$"), timeout=10_000)
    await cut[-1].close(code=1001)
    await otomo.locator("#hang-up").click()
    await in_phase("ended", user)
    assert len(cut) == 2
    assert "since=0" not in cut[1].url
    await expect(user.locator("#banner")).to_be_hidden()


async def test_a_closed_window_ends_the_call(settings_with, pages_built, launch):
    async with serving(settings_with(demo="on", interrupted_after_s=1.5, reconnect_window_s=1.0)) as node:
        user, otomo = await both_windows(await launch(), node.base)
        await talk(user, otomo)
        await otomo.close()
        await in_phase("ended", user)
        await expect(user.locator("#hint")).to_contain_text("One side’s window was closed.")
        await expect(user.locator("#open-other")).to_be_visible()
        await user.context.close()  # before the node, whose end it would complain of


async def test_who_has_spent_all_points_starts_over_with_new_ones(settings_with, pages_built, launch):
    async with serving(settings_with(demo="on", unit_seconds=1.0, price_per_minute=1000)) as node:
        user, otomo = await both_windows(await launch(), node.base)
        await talk(user, otomo)
        await in_phase("ended", user, otomo)
        await expect(user.locator("#hint")).to_contain_text("The points are used up.")
        await expect(user.locator("#call")).to_be_hidden()
        await user.locator("#start-over").click()
        await expect(user.locator("#points")).to_have_text("1000")
        await expect(user.locator("#open-other")).to_be_visible()
        await user.context.close()  # before the node, whose end it would complain of


async def test_the_page_is_for_everybody(node, launch, axe):
    user, otomo = await both_windows(await launch(viewport=PHONE, locale="ja-JP"), node.base)
    await expect(user.locator("h1")).to_have_text("二つのウィンドウで試す、有料音声通話")
    await user.locator("#call").focus()
    await user.keyboard.press("Enter")
    await in_phase("incoming", otomo)
    await expect(user.locator("#hang-up")).to_be_focused()
    for page in (user, otomo):
        await is_for_everybody(page, axe, PHONE["width"])
    await user.locator("#hang-up").click()
    await in_phase("ended", user, otomo)
