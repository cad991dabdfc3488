"""mediasoup-client in Chromium talks to a pymediasoup party and to another tab, in both directions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page

from tests.party import Party
from voiceplane.client.tone import FRAMES_PER_SECOND

FRAMES = 3 * FRAMES_PER_SECOND
TIMEOUT_S = 20.0
FIRST_TAB_HZ, SECOND_TAB_HZ = 600.0, 1500.0
BIN_HZ = 3.0  # the page's FFT


async def test_chromium_and_pymediasoup_hear_each_other(call, server, open_page, microphone_hz):
    page = await open_page()
    async with Party.joined(call.otomo, call.call_id) as otomo:
        await join(page, server, call, call.user_id, "user")
        browsers_producer = await page.evaluate("party.sendMicrophone()")
        voice = await otomo.send(440.0)
        hearing = await otomo.receive(browsers_producer)
        await page.evaluate("id => party.receive(id)", voice.producer_id)

        await hearing.heard(1)
        assert await hearing.receiver.count(FRAMES, within_s=10) >= 0.95 * FRAMES
        assert hearing.receiver.dominant_hz() == pytest.approx(microphone_hz, abs=5)
        await hears(page, 440.0)
        await receives(page, FRAMES)
        released = await call.user.cleanup(call.call_id)
    assert (released.transports, released.producers, released.consumers) == (4, 2, 2)


async def test_two_tabs_hear_each_other(call, server, open_page):
    first, second = await open_page(), await open_page()
    await join(first, server, call, call.user_id, "user")
    await join(second, server, call, call.otomo_id, "otomo")
    first_producer = await first.evaluate("hz => party.sendTone(hz)", FIRST_TAB_HZ)
    second_producer = await second.evaluate("hz => party.sendTone(hz)", SECOND_TAB_HZ)
    await first.evaluate("id => party.receive(id)", second_producer)
    await second.evaluate("id => party.receive(id)", first_producer)

    await hears(first, SECOND_TAB_HZ)
    await hears(second, FIRST_TAB_HZ)
    await receives(first, FRAMES)
    await receives(second, FRAMES)
    released = await call.user.cleanup(call.call_id)
    assert (released.transports, released.producers, released.consumers) == (4, 2, 2)


async def join(page: Page, server: Any, call: Any, user_id: str, role: str) -> None:
    handler = await page.evaluate(
        "options => party.join(options)", {"token": server.token(user_id, role), "callId": call.call_id}
    )
    assert handler.startswith("Chrome"), "mediasoup-client did not know its browser"


async def hears(page: Page, hz: float) -> None:
    """Wait until the page hears that frequency above all others."""
    await page.wait_for_function(
        "([hz, tolerance]) => Math.abs(party.dominantHz() - hz) <= tolerance",
        arg=[hz, 2 * BIN_HZ],
        polling=100,
        timeout=TIMEOUT_S * 1000,
    )


async def receives(page: Page, packets: int) -> None:
    """Wait for so many packets, and look at how many were lost until then."""
    async with asyncio.timeout(TIMEOUT_S):
        counts = await page.evaluate("packets => party.receivedAtLeast(packets)", packets)
    assert counts["lost"] <= 0.05 * (counts["packets"] + counts["lost"])
