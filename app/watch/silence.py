"""Calls in which both parties have been silent for long: both are told, and then the call ends, where the settings say
so.

Silence is judged by the levels that packets carry (RFC 6464). A party that has muted itself says nothing. A party whose
client sends no levels may be speaking: its calls are never judged. Nor are calls that are interrupted or on hold: their
silence begins anew when they go on. What the node plays is nobody's speech.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from app.calls import call_events
from app.calls.call import EndReason, LiveCall
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.clock import now, shifted
from app.media.party_objects import PartyProducer
from app.media.room import Room
from app.media.speech import Speech
from app.tasks import Tasks
from schemas.call import CallState
from schemas.signaling import ProducerChange
from schemas.types import PartyRole
from worker_bridge.producer import Producer

LOOK_EVERY_S = 1.0


@dataclass(slots=True, eq=False)
class Watched:
    """A call, who speaks in its room, and since when, in monotonic seconds, nobody has."""

    call: LiveCall
    room: Room
    speech: Speech
    since: float
    warned: bool = False

    def begin_again(self, at: float) -> None:
        self.since, self.warned = at, False


class SilenceWatch:
    """Of this node's calls. ``warning_s`` and ``end_s`` are seconds of silence, 0 for never."""

    def __init__(
        self, registry: Registry, lifecycle: Lifecycle, journal: Journal, warning_s: float, end_s: float
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._journal = journal
        self._warning_s = warning_s
        self._end_s = end_s
        self._calls: dict[str, Watched] = {}
        self._tasks = Tasks()
        lifecycle.on_room(self._entered)
        lifecycle.on_producer(self._produced)
        lifecycle.on_left(self._left)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look(self._registry.connected())

    async def close(self) -> None:
        await self._tasks.close()

    def look(self, calls: Iterable[LiveCall]) -> None:
        """Judge calls as they are now."""
        present = now().monotonic
        for call in calls:
            if (watched := self._calls.get(call.id)) is not None and watched.call is call:
                self._judge(watched, present)

    def _judge(self, watched: Watched, at: float) -> None:
        call = watched.call
        spoken_at = last_speech(watched) if call.state is CallState.TALKING and call.held is None else at
        if spoken_at > watched.since:
            watched.begin_again(spoken_at)
        silent_s = at - watched.since
        if self._end_s and silent_s >= self._end_s:
            self._lifecycle.end_for(call, EndReason.SILENCE, f"nobody spoke for {silent_s:.0f} s")
        elif self._warning_s and silent_s >= self._warning_s and not watched.warned:
            watched.warned = True
            present = now()
            ends_at = shifted(present, watched.since + self._end_s) if self._end_s else None
            for event in call_events.silent(call, silent_s, present, ends_at):
                self._journal.append(event)

    def _entered(self, call: LiveCall, room: Room) -> None:
        self._calls[call.id] = Watched(call, room, Speech(room.router), now().monotonic)

    def _produced(self, call: LiveCall, change: ProducerChange, party: PartyRole, producer: Producer) -> None:
        watched = self._calls.get(call.id)
        if watched is not None and change == "producer_added":
            self._tasks.start(watched.speech.observe(producer), f"call {call.id} listens for speech of the {party}")

    def _left(self, call: LiveCall) -> None:
        self._calls.pop(call.id, None)


def last_speech(watched: Watched) -> float:
    """When somebody last spoke, in monotonic seconds; now, where that can't be known."""
    room, present = watched.room, now().monotonic
    latest = watched.since
    for party in watched.call.liveness:
        mine = [one for one in room.producers.values() if one.party == party and one.producer.kind == "audio"]
        if not mine or any(not is_known(room, one) for one in mine):
            return present
        latest = max(latest, *(watched.speech.spoken_at(one.producer.id) or latest for one in mine))
    return latest


def is_known(room: Room, owned: PartyProducer) -> bool:
    """Whether a producer is silent when nothing is heard of it: it has told levels before, or its party has muted
    it."""
    return owned.muted or room.microphones.knows(owned.producer.id)
