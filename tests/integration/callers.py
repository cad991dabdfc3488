"""A user and an otomo at a running node, as programs of theirs would be: two `Voiceplane` clients with tones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import aiohttp

from voiceplane.client import Api, Call, CallEvent, Voiceplane
from voiceplane.client.tone import FRAMES_PER_SECOND, Tone, ToneReceiver
from voiceplane.testcall import OTOMO_HZ, USER_HZ

PATIENCE_S = 20.0
POINTS = 10_000


class Node(Protocol):
    """A running server, wherever it runs."""

    base: str

    def token(self, user_id: str, role: str) -> str: ...


N = TypeVar("N", bound=Node)


class Told:
    """Every event of a call, in its order."""

    def __init__(self, call: Call) -> None:
        self.events: list[CallEvent] = []
        self._changed = asyncio.Condition()
        self._stream = call.events()

    async def listen(self) -> None:
        async for event in self._stream:
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    async def until(self, kind: type[Any], count: int = 1) -> Any:
        """The ``count``-th event of that kind, as soon as it has come."""

        def found() -> list[CallEvent]:
            return [event for event in self.events if isinstance(event, kind)]

        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@dataclass
class End:
    """One party of a call: what it is told, and what it hears."""

    call: Call
    told: Told
    receiver: ToneReceiver = field(default_factory=ToneReceiver)

    async def hears(self, hz: float) -> None:
        """From now on it gets this tone: a second of it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self.receiver.forget()
                await self.receiver.heard(self.receiver.frames + FRAMES_PER_SECOND)
                if abs(self.receiver.dominant_hz() - hz) < 5:
                    return

    async def hears_silence(self) -> None:
        await self.hears(0.0)


@dataclass
class Scene(Generic[N]):
    """Both are online, and the otomo answers whoever calls."""

    server: N
    admin: Api
    user: Voiceplane
    otomo: Voiceplane
    stack: AsyncExitStack
    _answered: asyncio.Queue[End] = field(default_factory=asyncio.Queue)

    async def answer(self, call: Call) -> None:
        end = self.follow(call)
        await call.accept(Tone(OTOMO_HZ))
        self._answered.put_nowait(end)

    async def talk(self) -> tuple[End, End]:
        """A call in which both hear each other: the user's end, and the otomo's."""
        call = await self.user.call("otomo", audio=Tone(USER_HZ))
        user = self.follow(call)
        async with asyncio.timeout(PATIENCE_S):
            otomo = await self._answered.get()
            await call.join()
        for end in (user, otomo):
            self.listen(end)
        await asyncio.gather(user.hears(OTOMO_HZ), otomo.hears(USER_HZ))
        return user, otomo

    def follow(self, call: Call) -> End:
        end = End(call, Told(call))
        self._until_the_end(end.told.listen(), f"what {call.role} is told")
        return end

    def listen(self, end: End) -> None:
        self._until_the_end(end.receiver.listen(end.call.remote_track), f"what {end.call.role} hears")

    def _until_the_end(self, work: Any, name: str) -> None:
        self.stack.push_async_callback(_ended, asyncio.create_task(work, name=name))


@asynccontextmanager
async def scene(server: N) -> AsyncIterator[Scene[N]]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        admin = Api(http, server.base, server.token("root", "admin"))
        adjustment = {"amount": POINTS, "reason": "gift", "idempotencyKey": "first"}
        await admin.request("POST", "/admin/wallets/user/adjust", adjustment)
        user = await stack.enter_async_context(Voiceplane(server.base, server.token("user", "user")))
        otomo = await stack.enter_async_context(Voiceplane(server.base, server.token("otomo", "otomo")))
        made = Scene(server, admin, user, otomo, stack)
        otomo.on("incoming", made.answer)
        yield made


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def left_over() -> list[str]:
    """What aiortc, aioice, pymediasoup and the client still do in this process, decoders' threads included."""
    ours = ("aiortc", "aioice", "pymediasoup", "voiceplane/client")
    coros = [task.get_coro() for task in asyncio.all_tasks()]
    tasks = [coro.__qualname__ for coro in coros if any(name in coro.cr_code.co_filename for name in ours)]
    return tasks + [thread.name for thread in threading.enumerate() if "decoder" in thread.name]
