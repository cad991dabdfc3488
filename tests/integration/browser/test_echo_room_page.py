"""The echo room of `examples/` with its own page: Chromium hears its microphone come back."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.examples.programs import started

TIMEOUT_MS = 15_000
BIN_HZ = 3.0  # of the FFT below
HEARD_HZ = """async () => {
  const context = new AudioContext({ sampleRate: 48000 });
  const analyser = new AnalyserNode(context, { fftSize: 16384 });
  context.createMediaStreamSource(document.querySelector('#echo').srcObject).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  for (let tries = 0; tries < 50; tries += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    analyser.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    if (tries > 4 && bins[loudest] > -50) return loudest * context.sampleRate / analyser.fftSize;
  }
  throw new Error('nothing was heard');
}"""


async def test_a_browser_hears_itself(chromium: Browser, microphone_hz: float):
    async with started("echo_room.py", "--media-ip", "127.0.0.1") as room:
        page = await chromium.new_page()
        await page.goto((await room.says("echo room")).partition(": ")[2])
        await page.click("#join")
        await page.get_by_text("connected", exact=True).wait_for(timeout=TIMEOUT_MS)
        assert await page.evaluate(HEARD_HZ) == pytest.approx(microphone_hz, abs=2 * BIN_HZ)
        await page.close()
        await room.interrupt()
