"""What a node does for its cluster while it serves: it tells what others have stored, goes on with the calls that dead
nodes have left, and lets go of its own where it has been declared dead itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.calls.continuity import Continuity
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.presence import Pace
from app.calls.registry import Registry
from app.cluster.membership import Membership
from app.cluster.presence import ClusterPresence
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Recovery
from app.signaling.hub import Hub
from app.signaling.limits import CloseCode

RETRY_EVERY_S = 0.2

log = logging.getLogger(__name__)


class Duties:
    """Hears what the membership says from when it is made. ``take_over`` makes calls that nobody has this node's."""

    def __init__(
        self,
        membership: Membership,
        ledger: Ledger,
        journal: Journal,
        registry: Registry,
        lifecycle: Lifecycle,
        continuity: Continuity,
        hub: Hub,
        presence: ClusterPresence,
        take_over: Callable[[], Awaitable[Recovery]],
        stress: Callable[[], float],
    ) -> None:
        self._membership = membership
        self._ledger = ledger
        self._registry = registry
        self._lifecycle = lifecycle
        self._continuity = continuity
        self._hub = hub
        self._presence = presence
        self._take_over = take_over
        self._orphans = asyncio.Event()
        membership.load = lambda: (stress(), len(registry))
        membership.on_bell = journal.ring
        membership.on_orphans = self._orphans.set
        membership.on_lost = self._lose_everything

    async def adopt(self) -> None:
        """Go on with what dead nodes have left; until cancelled."""
        while True:
            await self._orphans.wait()
            self._orphans.clear()
            try:
                recovery = await self._take_over()
                for adopted in recovery.adopted:
                    self._continuity.adopt(adopted)
                for otomo_id in await self._ledger.leave_gone():
                    self._presence.look_at(otomo_id, Pace().offline_after_s)
                await self._ledger.forget_nodes(alone=False)
            except LedgerUnavailable as error:
                log.warning("what dead nodes have left is taken over later: %s", error)
                await asyncio.sleep(RETRY_EVERY_S)

    def _lose_everything(self, incarnation: str) -> None:
        """The calls are others', and clients whose sockets are here come back, to whichever node."""
        self._ledger.node = incarnation
        for call in self._registry:
            self._lifecycle.lose(call)
        self._hub.disconnect_all(CloseCode.SERVICE_RESTART)
