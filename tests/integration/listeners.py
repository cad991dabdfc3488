"""An admin who supervises a call: what they hear of whom, and what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.conftest import eventually
from tests.integration.callers import End
from tests.party import Hearing, Party
from voiceplane.client.api import Api
from voiceplane.client.tone import AMPLITUDE, FRAMES_PER_SECOND, ToneReceiver

ADMIN_HZ = 1500.0
HEARD = AMPLITUDE / 3  # a tone that is louder is heard
UNHEARD = AMPLITUDE / 30
PATIENCE_S = 20.0


async def supervised(admin: Api, call_id: str, mode: str = "listen", **more: str) -> str:
    """Begin, or change what is asked for. Returns the supervision's id."""
    body = {"mode": mode, "reason": "a complaint", **more}
    made = await admin.request("POST", f"/admin/calls/{call_id}/supervise", body)
    return str(made["supervisionId"])


@dataclass
class Listener:
    """An admin's media in one room: hears each party by its role."""

    party: Party
    ears: dict[str, Hearing]

    async def hears(self, **hz: float) -> None:
        """Each party's own tone."""
        for role, expected in hz.items():
            receiver = self.ears[role].receiver
            await fresh_second(receiver)
            assert abs(receiver.dominant_hz() - expected) < 5, role


@asynccontextmanager
async def listening(admin: Api, call_id: str) -> AsyncIterator[Listener]:
    """Hears both parties, who send."""
    async with Party.joined(admin, call_id) as party:
        producers = (await admin.request("GET", f"/rtc/rooms/{call_id}/producers"))["producers"]
        assert {one["role"] for one in producers} == {"user", "otomo"}
        yield Listener(party, {one["role"]: await party.receive(one["producerId"]) for one in producers})


async def fresh_second(receiver: ToneReceiver) -> None:
    """All that it remembers is from now on."""
    receiver.forget()
    async with asyncio.timeout(PATIENCE_S):
        await receiver.heard(receiver.frames + FRAMES_PER_SECOND)


async def tone_is_heard(end: End, hz: float = ADMIN_HZ) -> None:
    """Beside what it heard before."""

    async def why_not() -> str | None:
        await fresh_second(end.receiver)
        level = end.receiver.loudness_of(hz)
        return f"{hz} Hz at {level:.3f}" if level < HEARD else None

    await eventually(why_not, PATIENCE_S)


async def tone_is_not_heard(end: End, hz: float = ADMIN_HZ) -> None:
    """Not any more."""

    async def why_not() -> str | None:
        await fresh_second(end.receiver)
        level = end.receiver.loudness_of(hz)
        return f"{hz} Hz at {level:.3f}" if level > UNHEARD else None

    await eventually(why_not, PATIENCE_S)


async def supervisions(admin: Api, call_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await admin.request("GET", f"/admin/calls/{call_id}/supervise"))["supervisions"]
    return found
