"""Calls on hold: neither party hears the other, and both may hear music. The clock runs on, and so does all else: who
is muted stays so, who is away is missed.

A hold is stored with its call, and goes with it from room to room and from node to node; music goes on where it was
in the next room, and from its beginning on another node.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from app.announcing.announcer import require_agreed
from app.announcing.clip import Clip
from app.announcing.clips import Clips
from app.announcing.pacer import Pacer
from app.announcing.track import Track
from app.calls.call import Hold, LiveCall
from app.calls.journal import Journal
from app.clock import now
from app.errors import ClipNotFound
from app.media.room import Room
from app.person import OTHER
from app.tasks import Tasks
from worker_bridge.errors import BridgeError

LISTEN_WITHIN_S = 5.0  # music begins then, whether anybody receives it or not

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Music:
    """What a call plays; ``at`` is the packet at which it goes on in the next room."""

    name: str
    at: int = 0
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Holds:
    """The holds of this node's calls."""

    def __init__(self, clips: Clips, pacer: Pacer, journal: Journal) -> None:
        self._clips = clips
        self._pacer = pacer
        self._journal = journal
        self._music: dict[str, Music] = {}  # by call
        self._tasks = Tasks()

    async def close(self) -> None:
        await self._tasks.close()

    async def hold(self, call: LiveCall, music: Clip | None) -> Hold:
        """Put a call on hold, or change its music; where it is so already, nothing changes. Returns when neither hears
        the other.

        Raises InvalidCallState where the parties have not agreed yet or the call is ending.
        """
        name = None if music is None else music.name
        async with call.lock:
            require_agreed(call)
            if call.held is None or call.held.music != name:
                since_ms = now().utc_ms if call.held is None else call.held.since_ms
                await self._journal.hold(call.id, since_ms, name)
                call.held = Hold(since_ms, name)
                logger.info("call %s is on hold", call.id)
            held = call.held
        await self._enforce(call)
        return held

    async def release(self, call: LiveCall) -> None:
        """Take a call off hold; where it is not on hold, nothing changes. Raises InvalidCallState as :meth:`hold`."""
        async with call.lock:
            require_agreed(call)
            if call.held is not None:
                await self._journal.hold(call.id, None, None)
                call.held = None
                for party in call.liveness.values():
                    party.begin_again()
                logger.info("call %s is not on hold any more", call.id)
        await self._enforce(call)

    def entered(self, call: LiveCall, room: Room) -> None:
        """The call has entered a room."""
        if call.held is not None:
            room.held = True
            self._play(call, room)

    def left(self, call: LiveCall) -> None:
        """The call has ended, or is another node's."""
        if (music := self._music.pop(call.id, None)) is not None:
            music.stop()

    async def _enforce(self, call: LiveCall) -> None:
        room = call.room
        if room is None:  # the next one will be as it is to be
            return
        self._play(call, room)
        await room.set_held(held=call.held is not None)

    def _play(self, call: LiveCall, room: Room) -> None:
        """Have the room hear what it is to hear."""
        wanted, playing = call.held and call.held.music, self._music.get(call.id)
        if playing is not None and playing.name != wanted:
            del self._music[call.id]
            playing.stop()
            playing = None
        if wanted is None:
            return
        if playing is None:
            playing = self._music[call.id] = Music(wanted)
        if playing.task is None or playing.task.done():
            work = self._run(playing, call, room)
            playing.task = self._tasks.start(work, f"music in call {call.id}")

    async def _run(self, music: Music, call: LiveCall, room: Room) -> None:
        """Play in one room after the other, until it is stopped."""
        try:
            clip = await self._clips.get(music.name)
        except ClipNotFound as error:
            logger.warning("call %s is on hold without music: %s", call.id, error)
            return
        while call.live:
            try:
                await self._play_in(room, music, clip)
            except BridgeError as error:
                logger.debug("call %s: the music stops: %s", call.id, error)
            following = call.room
            if following is None or following is room or following.router.closed:
                return
            room = following

    async def _play_in(self, room: Room, music: Music, clip: Clip) -> None:
        """Until the room closes. Raises BridgeError."""
        track = await Track.open(room, "music", tuple(OTHER), self._pacer)
        try:
            await track.heard(LISTEN_WITHIN_S)
            await track.play(clip, begin=music.at, again=True)
        finally:
            music.at = track.at
            track.close()
