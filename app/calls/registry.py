"""The live calls of this node: who owns which call, which room belongs to it, and what happens to it.

REST and WebSocket commands both come through here. A room lives from ``matched`` until its call has ended.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from app.calls.call import Call, CallEvent, CallState, EndReason
from app.calls.clock import Moment, now
from app.calls.room import Released, Room, RoomLimits
from app.errors import BadRequest, CallNotFound, InvalidCallState, RoomNotFound, WorkerUnavailable
from worker_bridge.errors import ResourceClosed, WorkerGone
from worker_bridge.pool import Pool
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason
from worker_bridge.rtp import RtpCodecCapability

Tell = Callable[[Iterable[str], str, dict[str, Any]], None]
"""Tell users an event: their ids, the event's type, its payload."""

logger = logging.getLogger(__name__)


class Calls:
    """All calls of this node that have not ended, by id; and the rooms, by the id of anything in them."""

    def __init__(
        self, pool: Pool, codecs: tuple[RtpCodecCapability, ...], limits: RoomLimits, price_per_minute: int, tell: Tell
    ) -> None:
        self._pool = pool
        self._codecs = codecs
        self._limits = limits
        self._price_per_minute = price_per_minute
        self._tell = tell
        self._calls: dict[str, Call] = {}
        self._rooms: dict[str, Room] = {}
        self._index: dict[str, Room] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def call(self, call_id: str) -> Call:
        call = self._calls.get(call_id)
        if call is None:
            raise CallNotFound(call_id)
        return call

    def room(self, call_id: str) -> Room:
        room = self._rooms.get(call_id)
        if room is None:
            raise RoomNotFound(call_id)
        return room

    def room_with(self, object_id: str) -> Room | None:
        """The room in which that transport, producer or consumer is."""
        return self._index.get(object_id)

    async def open_matched(
        self, user_id: str, otomo_id: str, call_id: str | None = None, price_per_minute: int | None = None
    ) -> Call:
        """A call that another system has matched, with its room. InvalidCallState where the id is in use;
        WorkerUnavailable where no worker can take the room."""
        if user_id == otomo_id:
            raise BadRequest.at("otomoId", "must not be the userId: a call has two parties")
        call_id = call_id or new_call_id()
        if call_id in self._calls:
            raise InvalidCallState(f"call {call_id} exists")
        price = self._price_per_minute if price_per_minute is None else price_per_minute
        call = Call(call_id, user_id, otomo_id, price, now())
        self._calls[call_id] = call
        try:
            await self._open_room(call)
        except BaseException:
            del self._calls[call_id]
            raise
        call.accepted_at = now()
        call.fire(CallEvent.MATCH, "admin", call.accepted_at)
        return call

    async def clean_up(self, call_id: str, user_id: str) -> Released:
        """End the call for a party that leaves, and say what was closed."""
        return await self.end(self.call(call_id), EndReason.MANUAL, f"clean-up by {user_id}")

    async def end(self, call: Call, reason: EndReason, cause: str) -> Released:
        """End it once: everything after the first is InvalidCallState. Both parties are told, then the room closes."""
        return self._end(call, reason, cause)

    def _end(self, call: Call, reason: EndReason, cause: str) -> Released:
        at = now()
        call.fire(CallEvent.END, cause, at)
        call.ended_at, call.end_reason = at, reason
        call.fire(CallEvent.CLOSE, cause, at)
        del self._calls[call.id]
        room = self._rooms.pop(call.id, None)
        self._tell(call.parties, "call_end", ended_payload(call))
        logger.info("call %s ended: %s (%s)", call.id, reason, cause)
        return room.close() if room is not None else Released(0, 0, 0)

    def close(self) -> None:
        """End every call: the node stops."""
        for call in list(self._calls.values()):
            self._end(call, EndReason.SYSTEM_ERROR, "the node stops")

    async def _open_room(self, call: Call) -> None:
        try:
            slot = self._pool.place()
            if slot.worker is None or slot.webrtc_server is None:
                raise WorkerUnavailable(f"worker {slot.index} is restarting")
            router = await slot.worker.create_router(self._codecs)
        except (WorkerGone, ResourceClosed) as error:
            raise WorkerUnavailable(str(error)) from error
        room = Room(call.id, call.parties, router, slot.webrtc_server, self._limits, self._index)
        self._rooms[call.id] = room
        room.events.on("set_up", lambda _: self._set_up(call))
        room.events.on("first_packet", lambda _, producer, at: self._first_packet(call, producer, at))
        room.events.on("closed", lambda reason: self._room_closed(call, reason))
        for event in ("producer_added", "producer_removed", "producer_paused", "producer_resumed"):
            room.events.on(event, self._producer_teller(call, event))

    def _set_up(self, call: Call) -> None:
        if call.state is CallState.MATCHED:
            call.fire(CallEvent.SET_UP, "the first transport", now())

    def _first_packet(self, call: Call, producer: Producer, at: Moment) -> None:
        """The moment of connection: the worker has received RTP."""
        if call.state not in (CallState.MATCHED, CallState.CONNECTING):
            return
        call.connected_at = at
        call.fire(CallEvent.RTP, f"the first packet of producer {producer.id}", at)
        self._tell(call.parties, "call_connected", connected_payload(call))
        logger.info("call %s connected", call.id)

    def _room_closed(self, call: Call, reason: CloseReason) -> None:
        if call.live and reason is CloseReason.WORKER_DIED:
            self._end(call, EndReason.WORKER_DIED, reason.value)

    def _producer_teller(self, call: Call, event: str) -> Callable[[str, Producer], None]:
        def tell(user_id: str, producer: Producer) -> None:
            payload = {
                "callId": call.id,
                "producerId": producer.id,
                "userId": user_id,
                "kind": producer.media_kind,
            }
            self._tell((call.other_party(user_id),), event, payload)

        return tell


def new_call_id() -> str:
    return f"call_{secrets.token_urlsafe(12)}"


def connected_payload(call: Call) -> dict[str, Any]:
    return {
        "callId": call.id,
        "userId": call.user_id,
        "otomoId": call.otomo_id,
        "connectedAt": call.connected_at and call.connected_at.iso,
        "method": "sfu_rtp_detected",
    }


def ended_payload(call: Call) -> dict[str, Any]:
    return {
        "callId": call.id,
        "userId": call.user_id,
        "otomoId": call.otomo_id,
        "endedAt": call.ended_at and call.ended_at.iso,
        "reason": call.end_reason,
        "durationSeconds": call.duration_seconds or 0,
        "totalChargedPoints": call.billed_points,
    }
