"""How a call changes its state: the table decides, the ledger stores, the parties are told, in this order.

A call ends once, whatever races: it is ``ending`` at once; then metering stops, the end is stored and told, and the
room closes. What the database can't store now is stored as soon as it can; the sound ends after a grace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Protocol

from app.calls import call_events
from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.journal import RETRY_EVERY_S, Journal
from app.calls.metering import Meter
from app.calls.record import record_of
from app.calls.registry import Registry
from app.calls.timers import CallTimers
from app.clock import Moment, now
from app.ledger.errors import Fenced, LedgerUnavailable, StaleState, UnknownCall
from app.ledger.steps import DeferredStep, Ending, Moving
from app.ledger.values import NewEvent
from app.media.offers import Offer
from app.media.party_objects import Released
from app.media.room import Room
from app.person import OTHER
from app.tasks import Tasks
from schemas.call import CallState, EndedBy
from schemas.signaling import PauseReason, ProducerChange
from schemas.types import PartyRole
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason

MoveListener = Callable[[LiveCall], None]
RoomListener = Callable[[LiveCall, Room], None]
ProducerListener = Callable[[LiveCall, ProducerChange, PartyRole, Producer], None]

END_WITHIN_S = 5.0  # how long a command waits for an end to be stored; it goes on without the command

logger = logging.getLogger(__name__)


class Ends(Protocol):
    """The part of ``endings.py`` that the life cycle needs."""

    def follow(self, call: LiveCall, billed_units: int = 0) -> None:
        """Told that a call's clock runs, or will, after so many units."""

    def forget(self, call: LiveCall) -> None:
        """Told that a call is ending, or another node's."""

    def reckon(self, call: LiveCall) -> None:
        """Told that its longest duration has changed."""


class Interruptions(Protocol):
    """The part of ``continuity.py`` that the life cycle needs."""

    def proven(self, call: LiveCall) -> bool:
        """Told that a party was proven to be there."""

    def room_lost(self, call: LiveCall) -> None:
        """Told that a call's worker has died."""


class Lifecycle:
    """The transitions of this node's calls. ``meter``, ``endings`` and ``continuity``, which need this object, are set
    by ``create_app``."""

    meter: Meter
    endings: Ends
    continuity: Interruptions

    def __init__(self, registry: Registry, journal: Journal, timers: CallTimers) -> None:
        self._registry = registry
        self._journal = journal
        self._timers = timers
        self._tasks = Tasks()
        self._move_listeners: list[MoveListener] = []
        self._room_listeners: list[RoomListener] = []
        self._producer_listeners: list[ProducerListener] = []
        self._left_listeners: list[MoveListener] = []
        self.fenced = 0  # calls that were taken from this node

    def on_move(self, listener: MoveListener) -> None:
        """Call ``listener(call)`` after each change of state, from ``matched`` on; it must be quick and raise
        nothing."""
        self._move_listeners.append(listener)

    def on_room(self, listener: RoomListener) -> None:
        """Call ``listener(call, room)`` when a call has entered a room: its first, or another one. As for the other
        listeners, it must be quick and raise nothing."""
        self._room_listeners.append(listener)

    def on_producer(self, listener: ProducerListener) -> None:
        """Call ``listener(call, change, party, producer)`` when a party's producer comes, pauses, resumes or goes."""
        self._producer_listeners.append(listener)

    def on_left(self, listener: MoveListener) -> None:
        """Call ``listener(call)`` when a call is not this node's any more: it has ended, or another node has it."""
        self._left_listeners.append(listener)

    def moved(self, call: LiveCall, state: CallState) -> None:
        """Set a state that is stored, and tell the listeners."""
        call.state = state
        for listener in self._move_listeners:
            listener(call)

    # forward

    def ring(self, call: LiveCall) -> None:
        """Start the timer that ends a ringing call without an answer. The call is stored as ringing already."""
        self._arm(call, self._timers.ring_s, "nobody answered")

    async def match(self, call: LiveCall, room: Room, cause: str, events: tuple[NewEvent, ...]) -> None:
        """Store that both have agreed, and give the call its room, which is open. The caller holds the call's lock."""
        state = call.next_state(CallEvent.ACCEPT)
        moving = Moving(
            call_id=call.id,
            epoch=call.epoch,
            to=state,
            cause=cause,
            at_ms=now().utc_ms,
            told=events,
            worker=room.worker_index,
        )
        try:
            await self._journal.move(moving)
        except StaleState as error:
            if error.state != state:  # else an earlier try was stored after all
                raise
        self.matched(call, room)

    def matched(self, call: LiveCall, room: Room) -> None:
        """The call is stored as matched: from here on the room belongs to it."""
        if call.live:
            call.matched_at = now()
            self.moved(call, CallState.MATCHED)
            self._arm(call, self._timers.setup_s, "no RTP came")
        self.enter_room(call, room)

    def enter_room(self, call: LiveCall, room: Room) -> None:
        """The call is stored with this room. Where the call is ending, its end, which waits for the lock, closes the
        room."""
        call.room, call.worker = room, room.worker_index
        room.watcher = CallWatcher(self, call)
        for listener in self._room_listeners:
            listener(call, room)
        if room.router.close_reason is not None:  # its worker died meanwhile
            self.room_closed(call, room.router.close_reason)

    def producer_changed(
        self, call: LiveCall, change: ProducerChange, party: PartyRole, producer: Producer, reason: PauseReason | None
    ) -> None:
        """Tell the other party; of a flood, both. While the call is on hold nobody is told of a party that pauses or
        resumes, since it is not heard anyway; and of the hold no listener, since the party goes on."""
        told = (party, OTHER[party]) if reason == "flood" else (OTHER[party],)
        if call.held is None or reason is not None or change not in ("producer_paused", "producer_resumed"):
            for event in call_events.producer_event(change, call, party, producer, told, reason):
                self._journal.append(event)
        if reason != "hold":
            for listener in self._producer_listeners:
                listener(call, change, party, producer)

    def offer_changed(self, call: LiveCall, change: ProducerChange, offer: Offer, told: Collection[PartyRole]) -> None:
        """Tell those who may hear it."""
        for event in call_events.offer_event(change, call, offer, told):
            self._journal.append(event)

    def set_up(self, call: LiveCall) -> None:
        """A transport was opened; a call's first one makes it ``connecting``."""
        if call.state is CallState.MATCHED:
            self.moved(call, call.next_state(CallEvent.SET_UP))
            self._journal.defer(DeferredStep(call.id, call.epoch, call.state, "the first transport", now().utc_ms))

    def first_packet(self, call: LiveCall, party: PartyRole, producer: Producer, at: Moment) -> None:
        """The worker received a producer's first packet; a call's first one is the moment of its connection."""
        liveness = call.liveness[party]
        liveness.prove(at.monotonic)
        liveness.last_rtp = at.monotonic
        if call.room is not None:
            self._tasks.start(call.room.microphones.observe(producer), f"call {call.id} listens to the {party}")
        if call.connected_at is None and call.live:
            call.connected_at = at
            call.clock.start(at)
            call.stop_timer()
            self._tasks.start(
                self._connect(call, at, f"RTP of {call.parties.person(party)}"), f"call {call.id} connects"
            )
        else:
            self.continuity.proven(call)

    async def _connect(self, call: LiveCall, at: Moment, cause: str) -> None:
        async with call.lock:
            while call.live:
                state, told = call.next_state(CallEvent.RTP), tuple(call_events.connected(call, at))
                try:
                    await self._journal.move(
                        Moving(call_id=call.id, epoch=call.epoch, to=state, cause=cause, at_ms=at.utc_ms, told=told)
                    )
                except Fenced:
                    self.lose(call)
                except StaleState as error:
                    if error.state != state:  # else an earlier try was stored after all
                        raise
                except LedgerUnavailable as error:
                    logger.warning("call %s: the connection waits for the ledger: %s", call.id, error)
                    if now().monotonic - at.monotonic > self._timers.ledger_grace_s:
                        self.end_soon(call, CallEvent.FAIL, EndReason.SYSTEM_ERROR, "the connection can't be stored")
                    await asyncio.sleep(RETRY_EVERY_S)
                    continue
                if call.live:
                    self.talks(call)
                    logger.info("call %s is connected", call.id)
                return

    def talks(self, call: LiveCall) -> None:
        """The call is stored as talking, for the first time or again."""
        self.moved(call, CallState.TALKING)
        self.meter.follow(call)
        self.endings.follow(call)

    def room_closed(self, call: LiveCall, reason: CloseReason) -> None:
        """A room has closed; where its call is not ending, because its worker died."""
        if call.live and reason is CloseReason.WORKER_DIED:
            self.continuity.room_lost(call)

    def lose(self, call: LiveCall, *, given: bool = False) -> None:
        """The call is another node's by now: nothing about it is stored or told here any more. It was ``given`` away
        by this node, or else taken from it."""
        call.stop_timer()
        call.state = CallState.ENDED
        self.meter.forget(call)
        self.leave(call)
        if not given:
            self.fenced += 1
            logger.warning("call %s has been taken by another node", call.id)

    def leave(self, call: LiveCall) -> Released:
        """Close the room, and forget the call."""
        call.stop_timer()
        self.endings.forget(call)
        room, call.room = call.room, None
        self._registry.remove(call)
        for listener in self._left_listeners:
            listener(call)
        return room.close() if room is not None else Released(0, 0, 0)

    # the end

    def end_soon(
        self,
        call: LiveCall,
        event: CallEvent,
        reason: EndReason,
        cause: str,
        *,
        by: EndedBy = EndedBy.NODE,
        at: Moment | None = None,
        events: Iterable[NewEvent] = (),
    ) -> asyncio.Task[Released] | None:
        """Begin to end a call: from here on it is ``ending``. Returns the task that ends it; None where it was ending
        already."""
        if not call.live:
            return None
        at = at or now()
        self.meter.decide_due(call, at)
        call.state = call.next_state(event)
        call.ended_at, call.end_reason, call.ended_by = at, reason, by
        call.stop_timer()
        logger.info("call %s ends: %s (%s)", call.id, reason, cause)
        work = self._finish(call, reason, cause, at, tuple(events))
        return self._tasks.start(work, f"call {call.id} ends")

    def end_for(self, call: LiveCall, reason: EndReason, cause: str, at: Moment | None = None) -> None:
        """Begin to end a call for a reason of the node's own; as of a moment, where one is given."""
        self.end_soon(call, CallEvent.FAIL, reason, cause, at=at)

    async def end(
        self,
        call: LiveCall,
        event: CallEvent,
        reason: EndReason,
        cause: str,
        *,
        by: EndedBy = EndedBy.NODE,
        events: Iterable[NewEvent] = (),
    ) -> Released:
        """End a call. Returns when its end is stored and told.

        Raises InvalidCallState where the event is not possible in its state, LedgerUnavailable where the end can't be
        stored for now: the call is ``ending`` all the same, and its end will be stored.
        """
        call.next_state(event)
        task = self.end_soon(call, event, reason, cause, by=by, events=events)
        if task is None:
            raise AssertionError(f"call {call.id} can go on from {call.state} but is not live")
        done, _ = await asyncio.wait({task}, timeout=END_WITHIN_S)
        if not done:
            raise LedgerUnavailable(f"the end of call {call.id} is not stored yet")
        return task.result()

    async def _finish(
        self, call: LiveCall, reason: EndReason, cause: str, at: Moment, events: tuple[NewEvent, ...]
    ) -> Released:
        async with call.lock:
            try:
                if await self._store_end(call, reason, cause, at, events):
                    self.moved(call, call.next_state(CallEvent.STORED))
            finally:  # what can't be stored at all is ended by the next start
                released = self.leave(call)
            return released

    async def _store_end(
        self, call: LiveCall, reason: EndReason, cause: str, at: Moment, events: tuple[NewEvent, ...]
    ) -> bool:
        """Store the end, trying until it succeeds. Billable units that wait for the ledger go first.

        Returns False where there is nothing to end: the call's opening was never stored, or it is another node's.
        """
        record = record_of(call)  # before the room closes
        billable = [replace(unit, epoch=call.epoch) for unit in await self.meter.stop(call)]
        ending = Ending(
            call_id=call.id,
            epoch=call.epoch,
            reason=reason,
            cause=cause,
            ended_at_ms=at.utc_ms,
            talked_ms=call.clock.talked_ms_at(at.monotonic),
            told=events,
            record=record,
        )
        began = now().monotonic
        while True:
            try:
                if billable:
                    await self._journal.charge_units(billable)
                    billable = []
                await self._journal.end_call(ending)
            except (UnknownCall, Fenced) as error:
                logger.warning("call %s can't be ended here: %s", call.id, error)
                return False
            except LedgerUnavailable as error:
                logger.warning("call %s: the end waits for the ledger: %s", call.id, error)
                if call.room is not None and now().monotonic - began > self._timers.ledger_grace_s:
                    call.room.close()
                await asyncio.sleep(RETRY_EVERY_S)
            else:
                return True

    async def close(self, within_s: float) -> None:
        """The node stops: end every call, and wait for all that is under way. Ends that can't be stored now are left to
        the next start."""
        for call in self._registry:
            self.end_soon(call, CallEvent.FAIL, EndReason.SYSTEM_ERROR, "the node stops")
        try:
            async with asyncio.timeout(within_s):
                await self._tasks.wait()
        except TimeoutError:
            logger.warning("%d calls are left for the next start to end", len(self._registry))
        await self._tasks.close()

    # timers

    def wait_on(self, call: LiveCall) -> None:
        """Of a call that another process left before it was connected: wait as long as that would have."""
        if call.connected_at is not None:
            return
        began, timer, cause = call.created_at, self._timers.ring_s, "nobody answered"
        if call.matched_at is not None:
            began, timer, cause = call.matched_at, self._timers.setup_s, "no RTP came"
        self._arm(call, max(0.0, began.monotonic + timer - now().monotonic), cause)

    def _arm(self, call: LiveCall, after_s: float, cause: str) -> None:
        call.stop_timer()
        call.timer = asyncio.get_running_loop().call_later(
            after_s, self.end_soon, call, CallEvent.FAIL, EndReason.TIMEOUT, cause
        )


class CallWatcher:
    """Passes what happens in a room on to its call's life cycle."""

    __slots__ = ("_call", "_lifecycle")

    def __init__(self, lifecycle: Lifecycle, call: LiveCall) -> None:
        self._lifecycle = lifecycle
        self._call = call

    def set_up(self) -> None:
        self._lifecycle.set_up(self._call)

    def producer_changed(
        self, change: ProducerChange, party: PartyRole, producer: Producer, reason: PauseReason | None
    ) -> None:
        self._lifecycle.producer_changed(self._call, change, party, producer, reason)

    def offer_changed(self, change: ProducerChange, offer: Offer, told: Collection[PartyRole]) -> None:
        self._lifecycle.offer_changed(self._call, change, offer, told)

    def first_packet(self, party: PartyRole, producer: Producer, at: Moment) -> None:
        self._lifecycle.first_packet(self._call, party, producer, at)

    def closed(self, reason: CloseReason) -> None:
        self._lifecycle.room_closed(self._call, reason)
