"""Watching ``/health/ready`` from outside, as a load balancer does, and timing when it turns."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

FLIPS_WITHIN_S = 2.0
ANSWERS_WITHIN_S = 1.5  # whatever hangs
POLL_EVERY_S = 0.02
PATIENCE_S = 20.0


class Balancer:
    """Asks one node."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._url = f"{base}/health/ready"
        self.flips: dict[str, list[float]] = {}  # seconds, by what was waited for

    async def poll(self) -> tuple[int, dict[str, Any]]:
        """One answer, which must not take long."""
        began = time.monotonic()
        async with self._http.get(self._url) as response:
            body: dict[str, Any] = await response.json()
        assert time.monotonic() - began < ANSWERS_WITHIN_S, body
        assert (response.status == 200) is (body["status"] == "ready")
        return response.status, body

    async def turns(self, status: int, after: str) -> dict[str, Any]:
        """The first body with that status, which has to come soon."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found, body = await self.poll()
                if found == status:
                    break
                await asyncio.sleep(POLL_EVERY_S)
        took = time.monotonic() - began
        self.flips.setdefault(after, []).append(took)
        assert took < FLIPS_WITHIN_S, f"{status} came {took:.1f} s after {after}: {body}"
        return body


def problems(body: dict[str, Any]) -> dict[str, str]:
    """What is wrong, by the name of the part."""
    return {check["name"]: check["problem"] for check in body["checks"] if not check["ok"]}
