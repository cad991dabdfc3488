"""A node that is drained gives its calls away before it goes: another node has the call, and both parties know of their
new room, while the old one still forwards. So nobody hears the move.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from urllib.parse import quote

import aiohttp

from app.calls.call import LiveCall
from app.calls.continuity import talked_until
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.clock import now
from app.cluster.forwarder import Forwarder
from app.cluster.membership import Membership
from app.errors import AppError
from app.ledger.nodes import Node
from app.media.room import Room
from app.tasks import Tasks
from schemas.base import encode
from schemas.call import CallState
from schemas.cluster import TakeCall

AT_ONCE = 10
AGAIN_AFTER_S = 0.5  # where no node could take a call
OLD_ROOM_FOR_S = 10.0  # how long the room that a call leaves goes on forwarding, at most
OK = 200

log = logging.getLogger(__name__)


class Mover:
    """Moves this node's connected calls to others. The owner closes it, which closes the rooms that still forward."""

    def __init__(self, membership: Membership, forwarder: Forwarder, registry: Registry, lifecycle: Lifecycle) -> None:
        self._membership = membership
        self._forwarder = forwarder
        self._registry = registry
        self._lifecycle = lifecycle
        self._tasks = Tasks()

    async def move_all(self) -> None:
        """Returns when no connected call is left; until cancelled where nobody takes them."""
        some = asyncio.Semaphore(AT_ONCE)

        async def move(call: LiveCall) -> bool:
            async with some:
                return await self._move(call)

        while calls := self._registry.connected():
            if not any(await asyncio.gather(*map(move, calls))):
                await asyncio.sleep(AGAIN_AFTER_S)

    async def close(self) -> None:
        """Wait until nobody needs the old rooms any more, for as long as they forward at most."""
        await self._tasks.wait()

    async def _move(self, call: LiveCall) -> bool:
        """Whether another node has the call now."""
        target = self._membership.least_stressed()
        if target is None:
            return False
        async with call.lock:
            if not call.live or call.state not in (CallState.TALKING, CallState.INTERRUPTED) or call.room is None:
                return False
            if not await self._give(call, target):
                return False
            room, call.room = call.room, None
            room.watcher = None
            self._lifecycle.lose(call, given=True)
        log.info("call %s is on node %s", call.id, target.name)
        self._tasks.start(close_when_left(room), f"the old room of call {call.id}")
        return True

    async def _give(self, call: LiveCall, target: Node) -> bool:
        """What was asked and not answered may be done: then the ledger refuses the next try, and says whose it is."""
        talked = talked_until(call, call.proven_until(now()))
        body = TakeCall(
            owner=self._membership.node,
            epoch=call.epoch,
            talked_ms=talked.talked_ms,
            proven_at_ms=talked.proven_at_ms,
        )
        path = f"/internal/calls/{quote(call.id, safe='')}/take"
        headers = {"Content-Type": "application/json"}
        try:
            answered = await self._forwarder.ask(target, "POST", path, encode(body), headers)
        except (AppError, aiohttp.ClientError) as error:
            log.warning("call %s is not on node %s: %s", call.id, target.name, error)
            return False
        return answered.status == OK


async def close_when_left(room: Room) -> None:
    """Forward until both parties have closed their transports in the room, as they do when they hear each other in the
    new one; or for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(OLD_ROOM_FOR_S):
            await room.left()
    room.close()
