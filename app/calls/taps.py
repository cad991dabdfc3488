"""Who wants to have what the parties of a call send, packet by packet: recordings, transcription. However many they
are, a call's packets come once; they follow it from room to room, and none come where nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.calls.call import LiveCall
from app.calls.lifecycle import Lifecycle
from app.media.room import Room
from app.media.tap import PacketSink, Start, Tap
from app.tasks import Tasks
from schemas.signaling import ProducerChange
from schemas.types import PartyRole
from worker_bridge.producer import Producer


class Taps:
    """The tapped calls of this node."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._calls: dict[str, TappedCall] = {}
        self._tasks = Tasks()
        lifecycle.on_room(self._room_entered)
        lifecycle.on_producer(self._producer_changed)
        lifecycle.on_left(self._left)

    async def close(self) -> None:
        for tapped in self._calls.values():
            tapped.leave()
        self._calls.clear()
        await self._tasks.wait()

    def listen(self, call: LiveCall, sink: PacketSink) -> Callable[[], None]:
        """Have ``sink`` get what the call's parties send, until the result is called or the call is not this node's any
        more; calling it again changes nothing."""
        tapped = self._calls.get(call.id)
        if tapped is None:
            tapped = self._calls[call.id] = TappedCall(self._tasks.start)
            tapped.sinks = (sink,)
            if call.room is not None:
                tapped.enter(call.room)
        else:
            tapped.sinks = (*tapped.sinks, sink)
        return partial(self._stop, call.id, tapped, sink)

    def _stop(self, call_id: str, tapped: TappedCall, sink: PacketSink) -> None:
        tapped.sinks = tuple(one for one in tapped.sinks if one is not sink)
        if not tapped.sinks and self._calls.get(call_id) is tapped:
            del self._calls[call_id]
            tapped.leave()

    def _room_entered(self, call: LiveCall, room: Room) -> None:
        if (tapped := self._calls.get(call.id)) is not None:
            tapped.enter(room)

    def _producer_changed(self, call: LiveCall, change: ProducerChange, party: PartyRole, producer: Producer) -> None:
        if change != "producer_added" or (tapped := self._calls.get(call.id)) is None:
            return
        if tapped.tap is not None:
            tapped.tap.follow(party, producer)

    def _left(self, call: LiveCall) -> None:
        if (tapped := self._calls.pop(call.id, None)) is not None:
            tapped.leave()


class TappedCall:
    """``sinks`` are those who listen; ``tap`` is on the last room of the call, where it had one."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self.sinks: tuple[PacketSink, ...] = ()
        self.tap: Tap | None = None

    def enter(self, room: Room) -> None:
        if self.tap is not None:
            self.tap.close()
        self.tap = Tap(room, self._pass_on, self._start)

    def leave(self) -> None:
        self.sinks = ()
        if self.tap is not None:
            self.tap.close()

    def _pass_on(self, party: PartyRole, packet: bytes, at: float) -> None:
        for sink in self.sinks:
            sink(party, packet, at)
