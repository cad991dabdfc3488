"""What may be done to a call, and by whom. REST and WebSocket commands both come through here."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from app.auth import Claims
from app.calls import news
from app.calls.attempts import Attempts
from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.clock import now
from app.calls.journal import Journal
from app.calls.lifecycle import CallTimers, Lifecycle
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.registry import Registry
from app.calls.room import Released
from app.calls.rooms import Rooms
from app.errors import (
    CallerBusy,
    CallNotFound,
    InsufficientPoints,
    InvalidCallState,
    OtomoBusy,
    OtomoNotFound,
    OtomoOffline,
)
from app.ledger.errors import CallExists, LedgerUnavailable, PartyBusy, StaleState
from app.ledger.values import CallState, EndedBy, NewCall, NewEvent
from app.person import Person


class CallService:
    """The commands. Each returns the call as it is then; refusals are the errors of ``app.errors``."""

    def __init__(  # what a command needs of the others
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        rooms: Rooms,
        journal: Journal,
        presence: Presence,
        timers: CallTimers,
        rates: Rates,
        attempts: Attempts,
        admit: Callable[[], None],
    ) -> None:
        """``admit`` raises where the node takes no new call now."""
        self._registry = registry
        self._lifecycle = lifecycle
        self._rooms = rooms
        self._journal = journal
        self._presence = presence
        self._timers = timers
        self._rates = rates
        self._attempts = attempts
        self._admit = admit

    async def request_call(self, claims: Claims, otomo_id: str, call_id: str | None = None) -> LiveCall:
        """Ring an otomo who is online and free, for a user who is free and can pay one minute."""
        claims.require_caller()
        self._attempts.check(claims.user_id, otomo_id)
        otomo = Person("otomo", otomo_id)
        if not self._presence.online(otomo):
            raise await self._why_not_there(otomo_id)
        if self._registry.busy(otomo):
            raise OtomoBusy(otomo_id)
        if self._registry.busy(claims.person):
            raise CallerBusy(claims.user_id)
        price = await self._rates.of(otomo_id)
        wallet = await self._journal.ledger.balance(claims.user_id) if price else None
        if price and (wallet is None or wallet.balance < price):
            raise InsufficientPoints(claims.user_id)
        call_id = call_id or new_call_id()
        states = (CallState.REQUESTING, CallState.RINGING)
        with self._attempts.counting(claims.user_id, otomo_id, call_id):
            call = self._new_call(claims.user_id, otomo_id, call_id, price)
            async with call.lock:
                await self._store(call, states, "request", True, [news.incoming_call(call, self._timers.ring_s)])
                if call.live:
                    call.state = call.step(CallEvent.RING).state
                    self._lifecycle.ring(call)
        return call

    async def open_matched(
        self, user_id: str, otomo_id: str, call_id: str | None = None, price_per_minute: int | None = None
    ) -> LiveCall:
        """A call that another system has matched: its room is open when this returns."""
        price = await self._rates.of(otomo_id) if price_per_minute is None else price_per_minute
        call = self._new_call(user_id, otomo_id, call_id or new_call_id(), price)
        async with call.lock:
            try:
                room = await self._rooms.open(call.id, call.parties)
            except BaseException:
                self._registry.remove(call)
                raise
            try:
                await self._store(call, (CallState.MATCHED,), "admin", False)
            except BaseException:
                room.close()
                raise
            self._lifecycle.matched(call, room)
        return call

    async def accept(self, claims: Claims, call_id: str) -> LiveCall:
        call = await self._call_of(claims, call_id, otomo=True)
        async with call.lock:
            call.step(CallEvent.ACCEPT)
            room = await self._rooms.open(call.id, call.parties)
            told = news.answered("call_accepted", call, call.parties.user, now())
            try:
                await self._lifecycle.match(call, room, f"accepted by {claims.person}", [told])
            except BaseException as error:
                room.close()
                if isinstance(error, StaleState):
                    raise InvalidCallState(str(error)) from error
                raise
        return call

    async def reject(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall:
        call = await self._call_of(claims, call_id, otomo=True)
        await no_answer_under_way(call)
        told = news.answered("call_rejected", call, call.parties.user, now(), reason)
        cause = reason or f"rejected by {claims.person}"
        await self._end(call, CallEvent.REJECT, EndReason.REJECTED, cause, EndedBy.OTOMO, [told])
        return call

    async def cancel(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall:
        call = await self._call_of(claims, call_id, caller=True)
        await no_answer_under_way(call)
        told = news.answered("call_cancelled", call, call.parties.otomo, now(), reason)
        cause = reason or f"cancelled by {claims.person}"
        await self._end(call, CallEvent.CANCEL, EndReason.CANCELLED, cause, EndedBy.USER, [told])
        return call

    async def end(self, claims: Claims, call_id: str, reason: str | None = None) -> LiveCall:
        call = await self._call_of(claims, call_id)
        cause = reason or f"ended by {claims.person}"
        await self._end(call, CallEvent.HANG_UP, EndReason.MANUAL, cause, EndedBy(claims.role))
        return call

    async def clean_up(self, claims: Claims, call_id: str) -> Released:
        """A party leaves: the call ends, and what its room held is counted."""
        call = await self._call_of(claims, call_id)
        cause = f"cleaned up by {claims.person}"
        return await self._end(call, CallEvent.HANG_UP, EndReason.MANUAL, cause, EndedBy(claims.role))

    async def end_by_admin(self, call_id: str, reason: str | None = None) -> LiveCall:
        call = self._registry.find(call_id) or await self._refuse_missing(call_id)
        await self._end(call, CallEvent.FAIL, EndReason.ADMIN, reason or "an admin", EndedBy.ADMIN)
        return call

    async def _end(
        self,
        call: LiveCall,
        event: CallEvent,
        reason: EndReason,
        cause: str,
        by: EndedBy,
        events: list[NewEvent] | None = None,
    ) -> Released:
        return await self._lifecycle.end(call, event, reason, cause, by=by, events=events or ())

    async def _call_of(self, claims: Claims, call_id: str, *, caller: bool = False, otomo: bool = False) -> LiveCall:
        """The live call of a party; of one of them alone where that is asked. Forbidden to everybody else."""
        call = self._registry.find(call_id)
        if call is None:
            call = await self._refuse_missing(call_id, claims)
        allowed = (call.parties.user,) if caller else (call.parties.otomo,) if otomo else call.parties
        claims.require_party(*allowed)
        return call

    async def _refuse_missing(self, call_id: str, claims: Claims | None = None) -> LiveCall:
        """A call that has ended is past everything; one that never was is not found."""
        stored = await self._journal.ledger.call(call_id)
        if stored is None:
            raise CallNotFound(call_id)
        if claims is not None:
            claims.require_party(*stored.parties)
        raise InvalidCallState(f"call {call_id} is {stored.state}")

    async def _why_not_there(self, otomo_id: str) -> OtomoOffline | OtomoNotFound:
        """OtomoNotFound for an id that is only known as a user's: nobody who is offline, but a caller's mistake."""
        if self._presence.online(Person("user", otomo_id)) and not await self._journal.ledger.knows_otomo(otomo_id):
            return OtomoNotFound(otomo_id)
        return OtomoOffline(otomo_id)

    def _new_call(self, user_id: str, otomo_id: str, call_id: str, price: int) -> LiveCall:
        """Registered from here on, so that nobody else takes the id or the parties while it is stored."""
        if call_id in self._registry:
            raise InvalidCallState(f"call {call_id} exists")
        self._admit()
        call = LiveCall(call_id, user_id, otomo_id, price, now())
        for life in call.lives.values():
            life.had_socket = self._presence.online(life.person)
        self._registry.add(call)
        return call

    async def _store(
        self,
        call: LiveCall,
        states: tuple[CallState, ...],
        cause: str,
        exclusive: bool,
        events: list[NewEvent] | None = None,
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
        )
        try:
            await self._journal.open_call(new, events or ())
        except LedgerUnavailable as error:
            if error.outcome_unknown:  # it may be stored, and would keep its parties busy
                self._lifecycle.end_for(call, EndReason.SYSTEM_ERROR, "its opening was cut off")
            else:
                self._registry.remove(call)
            raise
        except BaseException as error:
            self._registry.remove(call)
            match error:
                case CallExists():
                    raise InvalidCallState(str(error)) from error
                case PartyBusy(party="otomo"):
                    raise OtomoBusy(str(error)) from error
                case PartyBusy():
                    raise CallerBusy(str(error)) from error
            raise


def new_call_id() -> str:
    return f"call_{secrets.token_urlsafe(12)}"


async def no_answer_under_way(call: LiveCall) -> None:
    """Wait until an accept that is being stored is: of it and what would end the ringing, one succeeds."""
    async with call.lock:
        pass
