"""Recordings as a back end gets them, and what is in them: sound by the tenth of a second, decoded by ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.app.recording.judges import faults_in, length_of
from tests.conftest import Server, eventually
from tests.crash.killed_node import Node
from tests.integration.paid_calls import milliseconds
from voiceplane.client.api import Api

RATE = 48_000
STEP_S = 0.1
LOUD = 300.0  # of 32768, in a tone of the tests
WITHIN_MS = 20.0  # of the call's length
STORED_WITHIN_S = 20.0


async def recordings_of(admin: Api, call_id: str = "call") -> list[dict[str, Any]]:
    return (await admin.request("GET", f"/admin/calls/{call_id}/recording"))["recordings"]


async def stored(admin: Api, call_id: str = "call", *, parts: int = 1) -> list[dict[str, Any]]:
    """The recordings of a call, once they can be had."""
    found: list[dict[str, Any]] = []

    async def why_not() -> str | None:
        found[:] = await recordings_of(admin, call_id)
        ready = [one for one in found if one["state"] == "stored"]
        return None if len(ready) == len(found) == 2 * parts else f"of {found} not all are stored"

    await eventually(why_not, STORED_WITHIN_S)
    return found


async def fetched(server: Server | Node, one: dict[str, Any], folder: Path) -> Path:
    """A recording as a file."""
    path = folder / f"{one['role']}-{one['part']}.opus"
    headers = {"Authorization": f"Bearer {server.token('root', 'admin')}"}
    url = f"{server.base}/admin/recordings/{one['recordingId']}"
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
        assert answer.status == 200, await answer.text()
        path.write_bytes(await answer.read())
    assert path.stat().st_size == one["bytes"]
    return path


async def legs_of_ended(server: Server | Node, admin: Api, folder: Path, call_id: str = "call") -> dict[str, Leg]:
    """Both legs of a call that has ended: sound files, as long as the call."""
    call = await admin.request("GET", f"/calls/{call_id}")
    long_ms = milliseconds(call["endedAt"]) - milliseconds(call["connectedAt"])
    legs = {}
    for one in await stored(admin, call_id):
        path = await fetched(server, one, folder)
        assert faults_in(path) == []
        assert abs(length_of(path) * 1000 - long_ms) <= WITHIN_MS, (length_of(path), long_ms)
        assert abs(one["durationMs"] - long_ms) <= 1
        legs[one["role"]] = Leg(path)
    return legs


class Leg:
    """A file's sound."""

    def __init__(self, path: Path) -> None:
        decode = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
        pcm = subprocess.run(decode, capture_output=True, check=True, timeout=60).stdout
        self.samples = np.frombuffer(pcm, np.int16).astype(np.float64)

    def loud(self) -> list[bool]:
        """For each tenth of a second, whether anything is heard."""
        step = int(STEP_S * RATE)
        whole = self.samples[: len(self.samples) // step * step].reshape(-1, step)
        return [bool(one) for one in np.sqrt((whole**2).mean(axis=1)) > LOUD]

    def heard_s(self) -> float:
        return sum(self.loud()) * STEP_S

    def silent_s(self, begin: float, end: float) -> float:
        """How long it is silent within a time, in seconds from the beginning."""
        return STEP_S * self.loud()[round(begin / STEP_S) : round(end / STEP_S)].count(False)

    def pitch(self) -> float:
        """Its loudest frequency, in Hz."""
        found = np.abs(np.fft.rfft(self.samples))
        return float(np.argmax(found) * RATE / len(self.samples))
