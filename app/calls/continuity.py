"""How a call survives a silence and the death of its worker or node: it is interrupted, gets another room where it has
lost its own, and goes on when both parties are there again. Who is there, and when it is too late, is decided
elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial

from msgspec import UNSET
from msgspec.structs import replace

from app.calls import call_events
from app.calls.call import CallEvent, EndReason, Hold, Interruption, LiveCall
from app.calls.journal import RETRY_EVERY_S, Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.calls.talk_clock import TalkClock
from app.calls.timers import CallTimers
from app.clock import Moment, now, shifted
from app.errors import WorkerUnavailable
from app.ledger import steps
from app.ledger.errors import Fenced, LedgerUnavailable, StaleState, UnknownCall
from app.ledger.steps import MediaMove, Moving, Talked
from app.ledger.values import Adopted, NewEvent
from app.media.room import Room
from app.media.rooms import Rooms
from app.tariffs import Terms
from app.tasks import Tasks
from schemas.call import CallState, InterruptionReason, MoveReason
from schemas.tariff import Tariff
from schemas.types import PartyRole

DEATHS_WITHIN_S = 60.0  # a call that loses two workers in that time may be what kills them
TRY_ROOM_EVERY_S = 0.05  # while no worker is up

logger = logging.getLogger(__name__)

Step = Callable[[LiveCall], Awaitable[None]]
"""Something that is done to a live call while its lock is held."""
MoveListener = Callable[[MoveReason], None]


class Continuity:
    """Interruptions and rooms of this node's calls."""

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        journal: Journal,
        rooms: Rooms,
        timers: CallTimers,
        tariff: Tariff,
    ) -> None:
        """``tariff`` is the node's own, by which calls of older releases go on."""
        self._registry = registry
        self._lifecycle = lifecycle
        self._journal = journal
        self._rooms = rooms
        self._timers = timers
        self._tariff = tariff
        self._tasks = Tasks()
        self._deciding: set[str] = set()  # ids of calls that are being interrupted or resumed
        self._move_listeners: list[MoveListener] = []

    def on_media_moved(self, listener: MoveListener) -> None:
        """Call ``listener(reason)`` when a call has another room; it must be quick and raise nothing."""
        self._move_listeners.append(listener)

    async def close(self) -> None:
        await self._tasks.close()

    # interrupted, and back

    def interrupt(self, call: LiveCall, party: PartyRole) -> None:
        """Interrupt a call, because that party is away."""
        cause = f"no RTP of {call.parties.person(party)}"
        self._decide(call, partial(self._interrupt, reason="no_rtp", party=party, cause=cause), "is interrupted")

    def proven(self, call: LiveCall) -> bool:
        """Resume a call where both parties are there again: it goes on from the first packet of the second one."""
        if not call.is_back(now().monotonic, self._timers.interrupted_after_s):
            return False
        proofs = (party.last_proof for party in call.liveness.values() if party.last_proof is not None)
        at = shifted(now(), max(proofs))
        self._decide(call, partial(self._resume, at=at), "goes on")
        return True

    def _decide(self, call: LiveCall, step: Step, what: str) -> None:
        """Start a step, one at a time for each call: it may wait long for the ledger."""
        if call.id not in self._deciding:
            self._deciding.add(call.id)
            self._tasks.start(self._decided(call, step), f"call {call.id} {what}")

    async def _decided(self, call: LiveCall, step: Step) -> None:
        try:
            async with call.lock:
                if call.live:
                    await step(call)
        finally:
            self._deciding.discard(call.id)

    async def _interrupt(self, call: LiveCall, reason: InterruptionReason, party: PartyRole | None, cause: str) -> None:
        if call.state is not CallState.TALKING:
            return
        noticed = now()
        since = call.proven_until(noticed)
        interruption = self._interruption(reason, party, since, noticed)
        call.clock.stop(since.monotonic)
        moving = Moving(
            call_id=call.id,
            epoch=call.epoch,
            to=call.next_state(CallEvent.INTERRUPT),
            cause=cause,
            at_ms=since.utc_ms,
            told=tuple(call_events.interrupted(call, interruption)),
            interruption=steps.Interruption(reason, party, since.utc_ms),
            talked=talked_until(call, since),
        )
        call.interruption = interruption
        if await self._stored(call, partial(self._journal.move, moving)) and call.live:
            self._lifecycle.moved(call, CallState.INTERRUPTED)
            logger.info("call %s is interrupted: %s", call.id, cause)

    def _interruption(
        self, reason: InterruptionReason, party: PartyRole | None, since: Moment, noticed: Moment
    ) -> Interruption:
        until = shifted(noticed, noticed.monotonic + self._timers.reconnect_window_s)
        return Interruption(reason, party, since, noticed, until)

    async def _resume(self, call: LiveCall, at: Moment) -> None:
        interruption = call.interruption
        if call.state is not CallState.INTERRUPTED or call.room is None or interruption is None:
            return
        call.clock.start(at)
        moving = Moving(
            call_id=call.id,
            epoch=call.epoch,
            to=call.next_state(CallEvent.RESUME),
            cause="both parties are there",
            at_ms=at.utc_ms,
            told=tuple(call_events.resumed(call, interruption, at)),
        )
        if await self._stored(call, partial(self._journal.move, moving)) and call.live:
            call.interruption = None
            for party in call.liveness.values():
                party.begin_again()
            self._lifecycle.talks(call)
            logger.info("call %s goes on after %.1f s", call.id, at.monotonic - interruption.since.monotonic)

    # another room

    def room_lost(self, call: LiveCall) -> None:
        """A call's worker has died. It gets another room at once, but no third one within a minute."""
        present = now()
        before, call.worker_died_at = call.worker_died_at, present.monotonic
        call.room = None
        if before is not None and present.monotonic - before <= DEATHS_WITHIN_S:
            at = call.proven_until(present)
            self._lifecycle.end_soon(call, CallEvent.FAIL, EndReason.WORKER_DIED, "its second worker died", at=at)
        else:
            self.move_media(call, "worker_died")

    def move_media(
        self, call: LiveCall, reason: MoveReason, told: Iterable[NewEvent] = (), old_until: Moment | None = None
    ) -> None:
        """Open a room for a call that has none. Then both parties are told, after the events ``told``."""
        self._tasks.start(self._move_media(call, reason, tuple(told), old_until), f"call {call.id} gets another room")

    # from process to process

    def adopt(self, adopted: Adopted, old_until: Moment | None = None) -> LiveCall:
        """Take over a call that another process left: it waits for both parties, in a room of this node. One that rings
        goes on ringing, without media. ``old_until`` is how long its room there forwards."""
        call = live_call(adopted, now(), self._timers.reconnect_window_s, self._tariff)
        self._registry.add(call)
        self._lifecycle.meter.follow(call, adopted.call.billed_units)
        self._lifecycle.endings.follow(call, adopted.call.billed_units)
        self._lifecycle.wait_on(call)
        told: Iterable[NewEvent] = ()
        if adopted.was_talking and call.interruption is not None:
            told = call_events.interrupted(call, call.interruption)
            self._lifecycle.moved(call, CallState.INTERRUPTED)
        if call.matched_at is not None:
            self.move_media(call, "node_draining" if adopted.reason == "moved" else "node_lost", told, old_until)
        logger.warning("call %s is taken over, after %d units", call.id, adopted.call.billed_units)
        return call

    async def hand_over(self, within_s: float) -> None:
        """Leave the connected calls to the next process, with their last proofs stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(self._hand_over(call) for call in self._registry.connected()))
        for call in self._registry.connected():
            self._lifecycle.leave(call)

    async def _hand_over(self, call: LiveCall) -> None:
        async with call.lock:
            if call.live:
                await self._interrupt(call, "moved", None, "the node stops")
                self._lifecycle.leave(call)

    # inside

    async def _move_media(
        self, call: LiveCall, reason: MoveReason, told: Iterable[NewEvent], old_until: Moment | None
    ) -> None:
        async with call.lock:
            if call.live and reason == "worker_died":
                told = await self._lose_room(call, reason)
            room = await self._open_room(call)
            if room is None:
                return
            move = MediaMove(
                call_id=call.id,
                epoch=call.epoch,
                worker=room.worker_index,
                reason=reason,
                at_ms=now().utc_ms,
                told=(*told, *call_events.media_moved(call, room.epoch, reason, old_until)),
            )
            if not await self._stored(call, partial(self._journal.move_media, move)):
                room.close()
                return
            call.epoch = room.epoch
            self._lifecycle.enter_room(call, room)
            for listener in self._move_listeners:
                listener(reason)
            logger.info("call %s is in room %d, on worker %d", call.id, room.epoch, room.worker_index)

    async def _lose_room(self, call: LiveCall, reason: InterruptionReason) -> Iterable[NewEvent]:
        """Interrupt a talking call. An interrupted one waits anew, since nobody can be heard in a lost room. Returns
        the events about that."""
        if call.interruption is None:
            await self._interrupt(call, reason, None, "its worker died")
            return ()
        call.interruption = self._interruption(reason, None, call.interruption.since, now())
        return call_events.interrupted(call, call.interruption)

    async def _open_room(self, call: LiveCall) -> Room | None:
        """A room with the next number, as soon as a worker can take it; None where the call ends before that."""
        while call.live:
            try:
                return await self._rooms.open(call.id, call.parties, call.epoch + 1)
            except WorkerUnavailable as error:
                logger.debug("call %s waits for a worker: %s", call.id, error)
                await asyncio.sleep(TRY_ROOM_EVERY_S)
        return None

    async def _stored(self, call: LiveCall, change: Callable[[], Awaitable[object]]) -> bool:
        """Make a change, trying until it is stored. Returns False where the call ends first, or is another node's by
        now. A try that may have been stored is made again until that is known: the call's end goes by its room."""
        in_doubt = False
        while call.live or in_doubt:
            try:
                await change()
            except StaleState:  # an earlier try was stored after all: nobody else changes a locked call
                return True
            except LedgerUnavailable as error:
                in_doubt = in_doubt or error.outcome_unknown
                logger.warning("call %s waits for the ledger: %s", call.id, error)
                await asyncio.sleep(RETRY_EVERY_S)
            except (Fenced, UnknownCall) as error:
                logger.warning("call %s is another node's by now: %s", call.id, error)
                self._lifecycle.lose(call)
            else:
                return True
        return False


def talked_until(call: LiveCall, proven: Moment) -> Talked:
    """A call's clock as it is to be stored: only as far as it is proven."""
    return Talked(call.clock.talked_ms_at(proven.monotonic), proven.utc_ms)


def live_call(adopted: Adopted, present: Moment, window_s: float, tariff: Tariff) -> LiveCall:
    """A live call, interrupted, made from the stored one; ``tariff`` is the node's own."""
    stored = adopted.call

    def moment(utc_ms: int) -> Moment:
        passed_ms = max(0, present.utc_ms - utc_ms)  # a wall clock that was set back makes nothing of it happen later
        return Moment(present.monotonic - passed_ms / 1000, utc_ms)

    its_own = stored.charged_by(tariff.unit_seconds)
    if its_own.max_seconds is UNSET:
        its_own = replace(its_own, max_seconds=tariff.max_seconds)
    terms = Terms(stored.price_per_minute, its_own)
    call = LiveCall(stored.id, stored.user_id, stored.otomo_id, terms, moment(stored.created_at_ms))
    call.state, call.epoch, call.extended_s = stored.state, stored.epoch, stored.extended_seconds
    if stored.held_since_ms is not None:
        call.held = Hold(stored.held_since_ms, stored.held_music)
    if stored.accepted_at_ms is not None:
        call.accepted, call.matched_at = stored.exclusive, moment(stored.accepted_at_ms)
    if stored.connected_at_ms is None:
        return call
    call.connected_at = moment(stored.connected_at_ms)
    call.clock = TalkClock(stored.talked_ms / 1000)
    since = moment(adopted.since_ms)
    for party in call.liveness.values():
        party.prove(since.monotonic)
    if adopted.worker_died_at_ms is not None:
        call.worker_died_at = moment(adopted.worker_died_at_ms).monotonic
    until = shifted(present, present.monotonic + window_s)
    reason: InterruptionReason = "moved" if adopted.reason == "moved" else "node_lost"
    call.interruption = Interruption(reason, None, since, present, until)
    return call
