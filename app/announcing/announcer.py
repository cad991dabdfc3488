"""Announcements: clips that are played into a call's legs. Those of one leg are played one after the other.

Each leg that has any gets a producer, which closes when all are played. An announcement begins when its party receives
that producer, and is cut short by nothing but the call's end: where the call gets another room meanwhile, it is played
there from its beginning. It is not known to other nodes: one that adopts the call plays what it is asked itself.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from app.announcing.clip import Clip
from app.announcing.pacer import Pacer
from app.announcing.track import Track
from app.calls.call import LiveCall
from app.errors import InvalidCallState
from app.media.room import Room
from app.person import OTHER
from app.tasks import Tasks
from schemas.types import PartyRole
from worker_bridge.errors import BridgeError

LISTEN_WITHIN_S = 5.0  # how long a party is waited for that does not receive its announcement
LEAD_S = 0.2  # from when the node sends to when the party's device plays
LINGER_S = 0.3  # what a receiver's buffer may hold of the end, before the producer closes
MOST_WAITING = 20  # announcements of one leg
ID_BYTES = 12

logger = logging.getLogger(__name__)

PlayedListener = Callable[[bool], None]


class Announcement(NamedTuple):
    id: str
    clip: Clip


@dataclass(slots=True, eq=False)
class Leg:
    """What is to be played to one party; ``moved`` when the call has entered a room, or has left this node."""

    call: LiveCall
    party: PartyRole
    waiting: deque[Announcement] = field(default_factory=deque)
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Announcer:
    """The announcements of this node's calls."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._legs: dict[tuple[str, PartyRole], Leg] = {}
        self._tasks = Tasks()
        self._played_listeners: list[PlayedListener] = []

    def on_played(self, listener: PlayedListener) -> None:
        """Call ``listener(heard)`` after each announcement of a leg: whether its party received it to its end."""
        self._played_listeners.append(listener)

    async def close(self) -> None:
        await self._tasks.close()

    def announce(self, call: LiveCall, clip: Clip, to: Collection[PartyRole]) -> Announcement:
        """Play a clip into legs of a call, behind what waits there already; returns at once.

        Raises InvalidCallState where the parties have not agreed yet, the call is ending, or too many wait.
        """
        require_agreed(call)
        legs = [self._legs.get((call.id, party)) for party in to]
        if any(leg is not None and len(leg.waiting) >= MOST_WAITING for leg in legs):
            raise InvalidCallState(f"{MOST_WAITING} announcements wait in call {call.id}")
        made = Announcement(secrets.token_hex(ID_BYTES), clip)
        for party in sorted(to):
            leg = self._legs.get((call.id, party))
            if leg is None:
                leg = self._legs[call.id, party] = Leg(call, party)
                self._tasks.start(self._run(leg), f"announcements to the {party} of call {call.id}")
            leg.waiting.append(made)
        return made

    def entered(self, call: LiveCall, _: Room) -> None:
        """The call has entered a room."""
        self._wake(call)

    def left(self, call: LiveCall) -> None:
        """The call has ended, or is another node's."""
        self._wake(call)

    def _wake(self, call: LiveCall) -> None:
        for party in OTHER:
            if (leg := self._legs.get((call.id, party))) is not None:
                leg.moved.set()

    async def _run(self, leg: Leg) -> None:
        try:
            while leg.waiting and leg.call.live:
                leg.moved.clear()
                room = leg.call.room
                if room is None or room.router.closed:
                    await leg.moved.wait()
                    continue
                try:
                    await self._play_in(room, leg)
                except BridgeError as error:
                    logger.info("call %s: an announcement waits for another room: %s", leg.call.id, error)
                    await leg.moved.wait()
        finally:
            self._legs.pop((leg.call.id, leg.party), None)
            for _ in leg.waiting:
                self._played(heard=False)

    async def _play_in(self, room: Room, leg: Leg) -> None:
        """Play what waits, as long as the room is there. Raises BridgeError."""
        track = await Track.open(room, "announcement", (leg.party,), self._pacer)
        try:
            if await track.heard(LISTEN_WITHIN_S):
                await asyncio.sleep(LEAD_S)
            while leg.waiting and leg.call.live:
                if not await track.play(leg.waiting[0].clip):
                    return
                played = leg.waiting.popleft()
                heard = track.is_heard()
                self._played(heard=heard)
                if not heard:
                    logger.info("call %s: the %s did not receive %s", leg.call.id, leg.party, played.clip.name)
                if not leg.waiting:
                    await asyncio.sleep(LINGER_S)
        finally:
            track.close()

    def _played(self, *, heard: bool) -> None:
        for listener in self._played_listeners:
            listener(heard)


def require_agreed(call: LiveCall) -> None:
    """Raises InvalidCallState where the parties have not agreed yet, or the call is ending."""
    if not call.live or call.matched_at is None:
        raise InvalidCallState(f"call {call.id} is {call.state}")
