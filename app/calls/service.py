"""What may be done to a call, and by whom: the commands, for REST and WebSocket alike."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from app.access.tokens import Claims
from app.calls import call_events
from app.calls.attempts import Attempts
from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.directory import Directory
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.registry import Registry
from app.calls.timers import CallTimers
from app.clock import now
from app.errors import (
    BadRequest,
    Banned,
    Blocked,
    CallerBusy,
    CallNotFound,
    InsufficientPoints,
    InvalidCallState,
    LivesElsewhere,
    OtomoBusy,
    OtomoNotFound,
    OtomoOffline,
    RoomNotFound,
)
from app.ledger.errors import CallExists, LedgerUnavailable, PartyBusy, StaleState
from app.ledger.steps import Opening
from app.ledger.values import Call, NewCall, NewEvent, Rate
from app.media.party_objects import Released
from app.media.rooms import Rooms
from app.person import Parties, Person
from app.tariffs import Terms, needed_at_once
from schemas.call import CallState, EndedBy
from schemas.signaling import AnswerType
from schemas.types import PartyRole

USERS_CALL_ID = "u_"  # the prefix of ids that users choose; all others are the back end's


class CallService:
    """The commands. Each returns the call as it is then; refusals are errors of ``app.errors``."""

    def __init__(  # all that commands need
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        rooms: Rooms,
        journal: Journal,
        presence: Presence,
        timers: CallTimers,
        rates: Rates,
        attempts: Attempts,
        directory: Directory,
        admit: Callable[[], None],
        *,
        ring_offline: bool = False,
    ) -> None:
        """``admit`` raises where the node takes no new call now. With ``ring_offline``, who is offline can be rung."""
        self._registry = registry
        self._lifecycle = lifecycle
        self._rooms = rooms
        self._journal = journal
        self._presence = presence
        self._timers = timers
        self._rates = rates
        self._attempts = attempts
        self._directory = directory
        self._admit = admit
        self._ring_offline = ring_offline

    async def request_call(
        self, claims: Claims, otomo_id: str, call_id: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> LiveCall:
        """Ring an otomo who is online and free, for a user who is free and can pay what is needed at once.

        The same request again, with the same ``call_id``, returns the call that it made, while that lives.
        """
        if call_id is not None and not call_id.startswith(USERS_CALL_ID):
            raise BadRequest.at("callId", f"must begin with {USERS_CALL_ID}")
        claims.require_caller()
        if call_id is not None and (made := await self._made_before(claims, otomo_id, call_id)) is not None:
            return made
        self._attempts.check(claims.user_id, otomo_id)
        otomo = Person("otomo", otomo_id)
        await self._require_there(claims.person, otomo)
        if self._registry.busy(otomo):
            raise OtomoBusy(otomo_id)
        if self._registry.busy(claims.person):
            raise CallerBusy(claims.user_id)
        terms = await self._rates.of(otomo_id)
        if needed := needed_at_once(terms.tariff):
            wallet = await self._journal.ledger.balance(claims.user_id)
            if wallet is None or wallet.balance < needed:
                raise InsufficientPoints(claims.user_id)
        call_id = call_id or new_call_id()
        states = (CallState.REQUESTING, CallState.RINGING)
        with self._attempts.counting(claims.user_id, otomo_id, call_id):
            call = self._new_call(claims.user_id, otomo_id, call_id, terms)
            told = [call_events.incoming_call(call, self._timers.ring_s)]
            async with call.lock:
                await self._store(call, states, "request", True, told, metadata=metadata)
                if call.live:
                    call.state = call.next_state(CallEvent.RING)
                    self._lifecycle.ring(call)
        return call

    async def open_matched(
        self,
        user_id: str,
        otomo_id: str,
        call_id: str | None = None,
        rate: Rate | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> LiveCall:
        """Open a call that another system has matched: its room is open when this returns. Without a ``rate`` it costs
        what the otomo's calls cost. Raises Banned."""
        for person in Parties.of(user_id, otomo_id):
            if self._directory.standing.is_banned(person):
                raise Banned(str(person))
        if call_id is not None and call_id.startswith(USERS_CALL_ID):
            raise BadRequest.at("callId", f"must not begin with {USERS_CALL_ID}: those are the users'")
        terms = await self._rates.of(otomo_id) if rate is None else self._rates.terms_of(rate)
        call = self._new_call(user_id, otomo_id, call_id or new_call_id(), terms)
        async with call.lock:
            try:
                room = await self._rooms.open(call.id, call.parties, call.epoch)
            except BaseException:
                self._registry.remove(call)
                raise
            try:
                worker = room.worker_index
                await self._store(call, (CallState.MATCHED,), "admin", False, worker=worker, metadata=metadata)
            except BaseException:
                room.close()
                raise
            self._lifecycle.matched(call, room)
        return call

    async def accept(self, claims: Claims, call_id: str) -> LiveCall | Call:
        call = self._registry.find(call_id)
        if call is None or not call.live:
            return await self._past(claims, call_id, accepted_before)
        claims.require_party(call.parties.otomo)
        async with call.lock:
            if call.accepted and call.live:
                return call
            call.next_state(CallEvent.ACCEPT)
            room = await self._rooms.open(call.id, call.parties, call.epoch)
            told = call_events.answered("call_accepted", call, now())
            try:
                await self._lifecycle.match(call, room, f"accepted by {claims.person}", tuple(told))
            except BaseException as error:
                room.close()
                if isinstance(error, StaleState):
                    raise InvalidCallState(str(error)) from error
                raise
            call.accepted = True
        return call

    async def reject(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall | Call:
        return await self._end_ringing(REJECTION, claims, call_id, reason)

    async def cancel(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall | Call:
        return await self._end_ringing(CANCELLATION, claims, call_id, reason)

    async def _end_ringing(self, refusal: Refusal, claims: Claims, call_id: str, reason: str | None) -> LiveCall | Call:
        call = self._registry.find(call_id)
        if call is None or not call.live:
            return await self._past(claims, call_id, refusal.is_retry)
        claims.require_party(call.parties.person(refusal.by))
        await no_answer_under_way(call)
        if not call.live:
            return await self._past(claims, call_id, refusal.is_retry)
        told = call_events.answered(refusal.told, call, now(), reason)
        cause = reason or f"{refusal.reason} by {claims.person}"
        by = EndedBy(refusal.by)
        await self._lifecycle.end(call, refusal.event, refusal.reason, cause, by=by, events=told)
        return call

    async def end(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall | Call:
        call = self._registry.find(call_id)
        if call is None or not call.live:
            return await self._past(claims, call_id, ended_before)
        claims.require_party(*call.parties)
        await self._hang_up(call, claims, reason or f"ended by {claims.person}")
        return call

    async def clean_up(self, claims: Claims, call_id: str) -> Released:
        """A party leaves: the call ends, and what its room had is counted; zeros for a call that has ended before.

        Raises RoomNotFound where there never was a call of that id with that person.
        """
        call = self._registry.find(call_id)
        if call is not None and call.live:
            if call.matched_at is None:
                raise RoomNotFound(call_id)
            call.liveness_of(claims.person)
            return await self._hang_up(call, claims, f"cleaned up by {claims.person}")
        past = call or await self._journal.ledger.call(call_id)
        if past is None or claims.person not in past.parties:
            raise RoomNotFound(call_id)
        self._require_here(past)
        return Released(0, 0, 0)

    async def end_by_admin(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall | Call:
        call = self._registry.find(call_id)
        if call is None or not call.live:
            return await self._past(claims, call_id, ended_by_admin_before)
        await self._lifecycle.end(call, CallEvent.FAIL, EndReason.ADMIN, reason or "an admin", by=EndedBy.ADMIN)
        return call

    async def live(self, call_id: str) -> LiveCall:
        """A live call of this node. Raises CallNotFound; LivesElsewhere; InvalidCallState where it is ending."""
        call = self._registry.find(call_id)
        if call is None:
            stored = await self._journal.ledger.call(call_id)
            if stored is None:
                raise CallNotFound(call_id)
            self._require_here(stored)
            raise InvalidCallState(f"call {call_id} is {stored.state}")
        if not call.live:
            raise InvalidCallState(f"call {call_id} is {call.state}")
        return call

    async def extend(self, call_id: str, seconds: int) -> LiveCall:
        """Raise the longest duration of a live call. Raises as :meth:`live`."""
        call = await self.live(call_id)
        longer = await self._journal.extend(call_id, seconds)
        call.extended_s = max(call.extended_s, longer.extended_seconds)
        self._lifecycle.endings.reckon(call)
        return call

    async def _hang_up(self, call: LiveCall, claims: Claims, cause: str) -> Released:
        by = EndedBy(claims.role)
        return await self._lifecycle.end(call, CallEvent.HANG_UP, EndReason.MANUAL, cause, by=by)

    async def _past(self, claims: Claims, call_id: str, is_retry: IsRetry) -> LiveCall | Call:
        """A call that has ended, or is ending, for somebody who repeats a command that succeeded before.

        Raises CallNotFound; Forbidden for strangers; InvalidCallState for all others, who come too late.
        """
        call = self._registry.find(call_id) or await self._journal.ledger.call(call_id)
        if call is None:
            raise CallNotFound(call_id)
        self._require_here(call)
        if is_retry is not ended_by_admin_before:  # admins are no parties
            claims.require_party(*call.parties)
        past = Past(call, *await self._end_of(call))
        if not is_retry(past, claims):
            raise InvalidCallState(f"call {call_id} is {call.state}")
        return call

    def _require_here(self, call: LiveCall | Call) -> None:
        """Raises LivesElsewhere where the call is another node's to change."""
        if isinstance(call, Call) and call.state is not CallState.ENDED and call.node != self._journal.ledger.node:
            raise LivesElsewhere(call.id)

    async def _require_not_elsewhere(self, call: LiveCall) -> None:
        """Raises LivesElsewhere where the same call was made at another node, by a try whose answer was lost."""
        stored = await self._journal.ledger.call(call.id)
        if stored is not None and stored.parties == call.parties:
            self._require_here(stored)

    async def _end_of(self, call: LiveCall | Call) -> tuple[str | None, EndedBy | None]:
        if isinstance(call, LiveCall):
            return call.end_reason, call.ended_by
        record = await self._journal.ledger.record(call.id)
        return call.end_reason, record.ended_by if record is not None else None

    async def _made_before(self, claims: Claims, otomo_id: str, call_id: str) -> LiveCall | None:
        call = self._registry.find(call_id)
        if call is None or call.parties != Parties.of(claims.user_id, otomo_id):
            return None
        async with call.lock:  # the first try may be under way
            return call if call.live and call_id in self._registry else None

    async def _require_there(self, caller: Person, otomo: Person) -> None:
        """Raises Blocked, OtomoOffline or OtomoNotFound where this caller can't ring that otomo."""
        if self._directory.is_blocked(caller, otomo):
            raise Blocked(f"{caller} and {otomo}")
        if self._directory.is_away(otomo.id) or self._directory.standing.is_banned(otomo):
            raise OtomoOffline(otomo.id)
        if not await self._presence.is_online(otomo):
            why = await self._why_not_there(otomo.id)
            if not self._ring_offline or isinstance(why, OtomoNotFound):
                raise why

    async def _why_not_there(self, otomo_id: str) -> OtomoOffline | OtomoNotFound:
        """OtomoOffline; or OtomoNotFound where the id is known only as a user's, which is the caller's mistake."""
        as_user = Person("user", otomo_id)
        if await self._presence.is_online(as_user) and not await self._journal.ledger.knows_otomo(otomo_id):
            return OtomoNotFound(otomo_id)
        return OtomoOffline(otomo_id)

    def _new_call(self, user_id: str, otomo_id: str, call_id: str, terms: Terms) -> LiveCall:
        """A new call. It is registered before it is stored, so that nobody takes its id or its parties meanwhile."""
        if call_id in self._registry:
            raise InvalidCallState(f"call {call_id} exists")
        self._admit()
        call = LiveCall(call_id, user_id, otomo_id, terms, now())
        for liveness in call.liveness.values():
            liveness.had_socket = self._presence.online(liveness.person)
        self._registry.add(call)
        return call

    async def _store(
        self,
        call: LiveCall,
        states: tuple[CallState, ...],
        cause: str,
        exclusive: bool,
        events: Iterable[NewEvent] = (),
        worker: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        new = NewCall(
            call.id,
            call.user_id,
            call.otomo_id,
            call.price_per_minute,
            call.created_at.utc_ms,
            states=states,
            cause=cause,
            exclusive=exclusive,
            metadata=metadata or {},
            tariff=call.tariff,
        )
        try:
            await self._journal.open_call(Opening(new, tuple(events), worker))
        except LedgerUnavailable as error:
            if error.outcome_unknown:  # it may be stored, and would keep its parties busy for ever
                self._lifecycle.end_for(call, EndReason.SYSTEM_ERROR, "its opening was cut off")
            else:
                self._registry.remove(call)
            raise
        except BaseException as error:
            self._registry.remove(call)
            match error:
                case CallExists():
                    await self._require_not_elsewhere(call)
                    raise InvalidCallState(str(error)) from error
                case PartyBusy(party="otomo"):
                    raise OtomoBusy(str(error)) from error
                case PartyBusy():
                    raise CallerBusy(str(error)) from error
            raise
        self._presence.call_stored(call)


def new_call_id() -> str:
    return f"call_{secrets.token_urlsafe(12)}"


class Past(NamedTuple):
    """A call that is ending or has ended, and how; ``ended_by`` is None where a restart ended it."""

    call: LiveCall | Call
    end_reason: str | None
    ended_by: EndedBy | None


IsRetry = Callable[[Past, Claims], bool]
"""Whether a party, or an admin, repeats what succeeded before."""


def accepted_before(past: Past, claims: Claims) -> bool:
    if claims.role != "otomo":
        return False
    if isinstance(past.call, LiveCall):
        return past.call.accepted
    return past.call.exclusive and past.call.accepted_at_ms is not None  # otherwise an admin matched it


def rejected_before(past: Past, claims: Claims) -> bool:
    return claims.role == "otomo" and past.end_reason == EndReason.REJECTED


def cancelled_before(past: Past, claims: Claims) -> bool:
    return claims.role == "user" and past.end_reason == EndReason.CANCELLED


def ended_before(past: Past, claims: Claims) -> bool:
    return past.end_reason == EndReason.MANUAL and past.ended_by == claims.role


def ended_by_admin_before(past: Past, claims: Claims) -> bool:
    return claims.is_admin and past.end_reason == EndReason.ADMIN


class Refusal(NamedTuple):
    """How one party ends the ringing: the event, the end reason, what both are told, and what is a retry."""

    by: PartyRole
    event: CallEvent
    reason: EndReason
    told: AnswerType
    is_retry: IsRetry


REJECTION = Refusal("otomo", CallEvent.REJECT, EndReason.REJECTED, "call_rejected", rejected_before)
CANCELLATION = Refusal("user", CallEvent.CANCEL, EndReason.CANCELLED, "call_cancelled", cancelled_before)


async def no_answer_under_way(call: LiveCall) -> None:
    """Wait while an accept is being stored: of an accept, a reject and a cancel only one may succeed."""
    async with call.lock:
        pass
