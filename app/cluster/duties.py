"""What a node does for its cluster while it serves: it tells what others have stored, goes on with the calls that dead
nodes have left, and lets go of its own where it has been declared dead itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import aiohttp

from app.calls.continuity import Continuity
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.presence import Pace
from app.calls.registry import Registry
from app.cluster.forwarder import Forwarder
from app.cluster.membership import Membership, View
from app.cluster.presence import ClusterPresence
from app.errors import AppError
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.nodes import Node
from app.ledger.recovery import AT_ONCE
from app.ledger.values import Recovery
from app.signaling.hub import Hub
from app.signaling.limits import CloseCode

RETRY_EVERY_S = 0.2
GONE = 410  # RFC 9110 §15.5.11: the node is not one of us any more

log = logging.getLogger(__name__)


class Duties:
    """Hears what the membership says from when it is made. ``take_over(at_most)`` makes calls that nobody has this
    node's."""

    def __init__(
        self,
        membership: Membership,
        ledger: Ledger,
        journal: Journal,
        registry: Registry,
        lifecycle: Lifecycle,
        continuity: Continuity,
        hub: Hub,
        forwarder: Forwarder,
        presence: ClusterPresence,
        take_over: Callable[[int], Awaitable[Recovery]],
        stress: Callable[[], float],
    ) -> None:
        self._membership = membership
        self._ledger = ledger
        self._registry = registry
        self._lifecycle = lifecycle
        self._continuity = continuity
        self._hub = hub
        self._forwarder = forwarder
        self._presence = presence
        self._take_over = take_over
        self._orphans = asyncio.Event()
        self._share = 0
        membership.load = lambda: (stress(), len(registry))
        membership.on_bell = journal.ring
        membership.on_orphans = self._take_share
        membership.on_lost = self._lose_everything
        membership.is_dead = self._is_dead

    async def adopt(self) -> None:
        """Go on with what dead nodes have left; until cancelled."""
        while True:
            await self._orphans.wait()
            self._orphans.clear()
            try:
                await self._adopt(self._share)
                for otomo_id in await self._ledger.leave_gone():
                    self._presence.look_at(otomo_id, Pace().offline_after_s)
                await self._ledger.forget_nodes(alone=False)
            except LedgerUnavailable as error:
                log.warning("what dead nodes have left is taken over later: %s", error)
                await asyncio.sleep(RETRY_EVERY_S)

    def _take_share(self, share: int) -> None:
        self._share = share
        self._orphans.set()

    async def _adopt(self, share: int) -> None:
        """A few at a time, whose rooms are opened while the next ones are taken."""
        while share > 0:
            some = min(share, AT_ONCE)
            recovery = await self._take_over(some)
            for adopted in recovery.adopted:
                self._presence.call_stored(self._continuity.adopt(adopted))
            share = share - some if recovery.count == some else 0

    async def _is_dead(self, view: View) -> bool:
        """What the others say: one that sees the database, and this node in it no more, is believed. Where all are in
        the same trouble, it lives; where nobody is there, it is this node that is cut off."""
        if not view.others:
            return False
        said = await asyncio.gather(*(self._ask(one, view.me.incarnation) for one in view.others))
        return False in said or all(one is None for one in said)

    async def _ask(self, other: Node, incarnation: str) -> bool | None:
        """Whether it sees this node alive; True also where it sees no database, None where it is not there."""
        try:
            answered = await self._forwarder.ask(other, "GET", f"/internal/nodes/{quote(incarnation, safe='')}")
        except (AppError, aiohttp.ClientError):
            return None
        return answered.status != GONE

    def _lose_everything(self, incarnation: str) -> None:
        """The calls are others', and clients whose sockets are here come back, to whichever node."""
        self._ledger.node = incarnation
        for call in self._registry:
            self._lifecycle.lose(call)
        self._hub.disconnect_all(CloseCode.SERVICE_RESTART)
