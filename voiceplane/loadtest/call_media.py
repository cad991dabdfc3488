"""Both parties' media of one call, in one room after another: it follows `media_moved` as every client has to.

The old room's transports send on until the new ones are up, and are closed then; what they had counted is kept apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from voiceplane.client.backoff import Backoff
from voiceplane.client.errors import ClientError
from voiceplane.loadtest import offer
from voiceplane.loadtest.engine import Engine, LegHandle
from voiceplane.loadtest.errors import LegFailed, LoadTestError
from voiceplane.loadtest.moves import Kill, Move, last_before
from voiceplane.loadtest.online_party import OnlineParty
from voiceplane.loadtest.side import Side, both
from voiceplane.loadtest.sink import PacketCounts

FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 0.5
SETTLED_WITHIN_S = 10.0


class CallMedia:
    """`receivers` are the legs of the present room that receive; `moves` is what happened, `lost` what the rooms
    counted that are gone."""

    def __init__(
        self,
        call_id: str,
        parties: Sequence[OnlineParty],
        engine: Engine,
        capabilities: offer.Json,
        kills: Sequence[Kill],
    ) -> None:
        self.receivers: list[LegHandle] = []
        self.moves: list[Move] = []
        self.lost: list[PacketCounts] = []
        self._call_id = call_id
        self._parties = parties
        self._engine = engine
        self._capabilities = capabilities
        self._kills = kills
        self._room = AsyncExitStack()
        self._settled = asyncio.Event()
        self._settled.set()

    async def set_up(self) -> None:
        """Have all four transports up in the first room. Raises ClientError, LoadTestError."""
        self._room, self.receivers = await self._another_room()

    def talk(self) -> None:
        """Let both be heard."""
        self._engine.talk(self.receivers)

    async def follow(self) -> None:
        """Move whenever both are told to, until cancelled. A later move ends an earlier one."""
        moving: asyncio.Task[None] | None = None
        try:
            while True:
                told = await asyncio.gather(*(party.next_move(self._call_id) for party in self._parties))
                await _ended(moving)
                told_at = max(event.at for event in told)
                move = Move(told_at, last_before(self._kills, told_at))
                self.moves.append(move)
                self._settled.clear()
                moving = asyncio.create_task(self._move(move), name=f"{self._call_id} moves")
        finally:
            await _ended(moving)

    async def settled(self) -> None:
        """Wait until no move is under way, though not for ever: the call may end in the middle of one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_WITHIN_S):
                await self._settled.wait()

    async def close(self) -> None:
        await self._room.aclose()

    async def _move(self, move: Move) -> None:
        with suppress(LoadTestError):  # how far it came is in the move
            await self._move_on(move)
        self._settled.set()

    async def _move_on(self, move: Move) -> None:
        room, receivers = await self._patiently()
        move.connected_at = _now()
        former_room, former = self._room, self.receivers
        self._room, self.receivers = room, receivers
        move.talked_from = _now()
        self.talk()
        try:
            self.lost += await self._engine.stop(former)
        finally:
            await former_room.aclose()
        first = await asyncio.gather(*(receiver.heard for receiver in receivers))
        move.heard_at, move.heard_ns = _now(), max(one.at_ns for one in first)
        pairs = zip(former, first, strict=True)
        move.gaps_ms = [max(0.0, (one.at_ns - old.last_ns) / 1e6) for old, one in pairs if old.last_ns]

    async def _patiently(self) -> tuple[AsyncExitStack, list[LegHandle]]:
        """Another room, tried again for as long as the call lives: whoever ends it cancels this."""
        backoff = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        while True:
            with suppress(ClientError, LegFailed):  # the new room may be lost, too
                return await self._another_room()
            await asyncio.sleep(backoff.next())

    async def _another_room(self) -> tuple[AsyncExitStack, list[LegHandle]]:
        room = AsyncExitStack()
        try:
            sides = [Side(party, self._call_id, self._engine, self._capabilities, room) for party in self._parties]
            return room, await both(*sides)
        except BaseException:
            await room.aclose()
            raise


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


def _now() -> float:
    return asyncio.get_running_loop().time()
