"""A desk with workers that die, and calls that outlive them."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.calls.call import LiveCall
from app.clock import now
from app.ledger.values import Interrupted
from app.media.room import Room
from schemas.call import CallState
from schemas.types import PartyRole
from tests.app.conftest import Desk, DeskFactory
from tests.app.media.rooms_on_worker import worker_in_slot
from tests.conftest import eventually
from worker_bridge.native import NativeWorker

BOTH: tuple[PartyRole, PartyRole] = ("user", "otomo")


@dataclass
class Workshop:
    """A desk, and the workers that it has rooms on."""

    desk: Desk
    native: NativeWorker
    stack: AsyncExitStack
    workers: int = 0

    async def worker_starts(self) -> None:
        """From here on rooms are opened on another one."""
        self.desk.slot = await self.stack.enter_async_context(worker_in_slot(self.native, self.workers))
        self.workers += 1

    def worker_dies(self, call: LiveCall) -> None:
        """The one that the call's room is on; no other one is up."""
        assert self.desk.slot is not None
        assert self.desk.slot.worker is not None
        assert call.room is not None
        os.kill(self.desk.slot.worker.pid, signal.SIGKILL)
        self.desk.slot = None

    async def talking(self, call_id: str = "call", *, ago_s: float = 0.0) -> LiveCall:
        """As the desk's, in a room, and free."""
        call = await self.desk.talking(call_id, price=0, ago_s=ago_s)
        self.desk.lifecycle.enter_room(call, await self.desk.rooms.open(call.id, call.parties, call.epoch))
        return call

    def heard(self, call: LiveCall, *parties: PartyRole) -> None:
        """Their packets come, one after the other."""
        for party in parties or BOTH:
            call.liveness[party].prove(now().monotonic)
            self.desk.continuity.proven(call)

    async def interruptions(self, call: LiveCall) -> tuple[Interrupted, ...]:
        return await self.desk.ledger.interruptions(call.id)

    async def epochs(self, call: LiveCall) -> list[tuple[int, int, str | None]]:
        return [(one.epoch, one.worker, one.reason) for one in await self.desk.ledger.segments(call.id)]


@asynccontextmanager
async def workshop_with(
    native_worker: NativeWorker, desk_with: DeskFactory, **settings: Any
) -> AsyncIterator[Workshop]:
    async with AsyncExitStack() as stack, desk_with(**settings) as desk:
        workshop = Workshop(desk, native_worker, stack)
        await workshop.worker_starts()
        yield workshop


def not_in(call: LiveCall, state: CallState) -> Callable[[], str | bool]:
    return lambda: call.state is not state and f"it is {call.state}"


async def interrupted(call: LiveCall) -> None:
    await eventually(not_in(call, CallState.INTERRUPTED))


async def talks(call: LiveCall) -> None:
    await eventually(not_in(call, CallState.TALKING))


async def in_room(call: LiveCall, epoch: int) -> Room:
    """Its room with that number, once it is in it."""
    await eventually(lambda: (call.room is None or call.room.epoch != epoch) and f"it is in {call.room}")
    assert call.room is not None
    return call.room
