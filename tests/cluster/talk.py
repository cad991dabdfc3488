"""Two parties of a call in a cluster: they hear each other, follow their call wherever it goes, and say how it went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

import voiceplane.client.media  # noqa: F401  the media libraries take a while to load: not in the middle of a test
from tests.conftest import eventually
from tests.integration.callers import End, Told
from voiceplane.client import Api, Call, ConnectionChanged, Tick, Voiceplane
from voiceplane.client.tone import Tone

BACK_WITHIN_S = 20.0
PRICE, POINTS = 7, 100_000


class At(Protocol):
    """A node, or a balancer before some."""

    @property
    def base(self) -> str: ...
    def token(self, user_id: str, role: str) -> str: ...


@dataclass
class Talk:
    """Both parties' calls and what the user was told; ``losses`` are the states of sockets that were lost."""

    call_id: str
    user: Call
    otomo: Call
    told: Told
    losses: list[str] = field(default_factory=list)

    async def goes_on(self, epoch: int, within_s: float = BACK_WITHIN_S) -> None:
        """Wait until both talk, in the room with that number."""
        await eventually(lambda: self._not_there(epoch), within_s)

    async def pays(self, units: int = 2) -> None:
        """Wait until so many more units are charged."""
        await self.told.until(Tick, self.ticks + units)

    @property
    def ticks(self) -> int:
        return len([event for event in self.told.events if isinstance(event, Tick)])

    @property
    def units(self) -> int:
        """The number of the last unit that the user was told of. Those before were told one after another, but for the
        first ones, which may have come while we began to listen."""
        numbers = [event.tick_number for event in self.told.events if isinstance(event, Tick)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        return numbers[-1]

    def _not_there(self, epoch: int) -> str | None:
        seen = [(one.state, one.media_epoch) for one in (self.user, self.otomo)]
        return None if seen == [("talking", epoch)] * 2 else f"{self.call_id} is {seen}"


@asynccontextmanager
async def talking(
    opener: At, at: At, call_id: str = "call", *, names: tuple[str, str] = ("user", "otomo"), paid: bool = True
) -> AsyncIterator[Talk]:
    """A call that lives where ``opener`` is, and whose parties are connected to ``at``. They have points."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        admin = Api(http, opener.base, opener.token("root", "admin"))
        gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": call_id}
        await admin.request("POST", f"/admin/wallets/{names[0]}/adjust", gift)
        await admin.open_call(call_id, *names, price_per_minute=PRICE if paid else 0)
        user, otomo = [
            await stack.enter_async_context(Voiceplane(at.base, at.token(name, role)))
            for name, role in zip(names, ("user", "otomo"), strict=True)
        ]
        calls = await user.join(call_id, audio=Tone(440.0)), await otomo.join(call_id, audio=Tone(880.0))
        talk = Talk(call_id, *calls, Told(calls[0]))
        listening = asyncio.create_task(talk.told.listen(), name="what the user is told")
        stack.push_async_callback(ended, listening)

        def note(changed: ConnectionChanged) -> None:
            if changed.state != "connected":
                talk.losses.append(changed.state)

        for one in (user, otomo):
            one.on("state", note)
        await talk.goes_on(1)
        yield talk


@asynccontextmanager
async def ears(*calls: Call) -> AsyncIterator[list[End]]:
    """What the parties hear."""
    ends = [End(call, Told(call)) for call in calls]
    tasks = [asyncio.create_task(end.receiver.listen(end.call.remote_track), name="a party hears") for end in ends]
    yield ends
    for task in tasks:
        await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
