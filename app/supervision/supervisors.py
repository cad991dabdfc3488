"""Admins who listen in calls, whisper to a party or speak to both: who does, who may, and until when.

A supervision is stored with its line of the audit log before anything is heard. It belongs to the call and not to a
room: whatever room the call gets, here or on another node, the admin has a booth in it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TypeVar

from app.access.standing import Standing
from app.access.tokens import Claims
from app.calls.call import LiveCall
from app.calls.journal import RETRY_EVERY_S, Journal
from app.calls.registry import Registry
from app.clock import now
from app.errors import (
    Forbidden,
    InvalidCallState,
    LivesElsewhere,
    NotEnabled,
    SupervisionLimitExceeded,
    SupervisionNotFound,
    SupervisorSpeaks,
)
from app.ledger.audit_log import Entry
from app.ledger.errors import LedgerUnavailable
from app.ledger.supervisions import Supervision
from app.media.room import Room
from app.person import Person
from app.supervision import events
from app.tasks import Tasks
from schemas.audit import AuditAction
from schemas.base import camel_case
from schemas.signaling import ProducerChange
from schemas.supervision import SupervisionEnd, SupervisionMode
from schemas.types import PartyRole
from worker_bridge.producer import Producer

MOST = 4  # supervisors of one call
ABSENT_S = 60.0  # without a connected transport, after which a supervision ends
LOOK_EVERY_S = 1.0
STORED_WITHIN_S = 2.0  # at a shutdown: the ends that are being stored

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Place:
    """One supervision, and when its admin was last seen to be connected, or could not be: monotonic seconds."""

    now: Supervision
    seen_at: float

    @property
    def person(self) -> Person:
        return Person("admin", self.now.admin_id)


@dataclass(slots=True, eq=False)
class Supervised:
    """The supervisors of one call. Under ``lock``, a request's checks and its effects are one step."""

    by_admin: dict[str, Place] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisors:
    """This node's. ``live`` finds a live call, or raises; ``enabled`` is whether admins may; ``told`` is whether the
    parties hear of it."""

    def __init__(
        self,
        live: Callable[[str], Awaitable[LiveCall]],
        registry: Registry,
        journal: Journal,
        standing: Standing,
        *,
        enabled: bool,
        told: bool,
    ) -> None:
        self.absent_s = ABSENT_S
        self._find_live = live
        self._registry = registry
        self._journal = journal
        self._standing = standing
        self.enabled = enabled
        self._told = told
        self._calls: dict[str, Supervised] = {}
        self._tasks = Tasks()

    # what admins ask for

    async def begin(
        self, claims: Claims, call_id: str, mode: SupervisionMode, to: PartyRole | None, reason: str
    ) -> Supervision:
        """Supervise a live call. The same admin again has the same supervision, in the mode that was asked for last.

        Raises NotEnabled, CallNotFound, InvalidCallState, SupervisorSpeaks, SupervisionLimitExceeded.
        """
        call = await self._live(call_id)
        supervised = self._calls.setdefault(call_id, Supervised())
        async with supervised.lock:
            self._require_live(call)
            before = supervised.by_admin.get(claims.user_id)
            if before is not None and (before.now.mode, before.now.whispers_to) == (mode, to):
                return before.now
            self._check_speaker(supervised, claims.user_id, mode)
            if before is not None:
                return await self._change(call, before, claims, mode, to, reason)
            if len(supervised.by_admin) >= MOST:
                raise SupervisionLimitExceeded(f"{MOST} admins supervise call {call_id} already")
            made = Supervision(
                id=uuid.uuid4().hex,
                call_id=call_id,
                admin_id=claims.user_id,
                mode=mode,
                whispers_to=to,
                began_at_ms=now().utc_ms,
                token_until_ms=until_ms(claims),
                token_issued_ms=issued_ms(claims),
            )
            await self._journal.ledger.supervisions.put(made, entry(made, "supervision.start", reason))
            self._require_live(call)
            self._take_place(call, supervised, made)
            if self._told and len(supervised.by_admin) == 1:
                self._tell_parties(call, supervised=True)
            return made

    async def change(
        self, claims: Claims, call_id: str, supervision_id: str, mode: SupervisionMode, to: PartyRole | None
    ) -> Supervision:
        """Listen, whisper or speak to both from now on. Raises as ``begin``, SupervisionNotFound, and Forbidden where
        it is another admin's."""
        call = await self._live(call_id)
        supervised = self._supervised(call_id)
        async with supervised.lock:
            place = self._place(supervised, supervision_id)
            if place.now.admin_id != claims.user_id:
                raise Forbidden(f"supervision {supervision_id} is not {claims.person}'s")
            self._check_speaker(supervised, claims.user_id, mode)
            return await self._change(call, place, claims, mode, to, None)

    async def end(self, claims: Claims, call_id: str, supervision_id: str) -> None:
        """End a supervision, one's own or another admin's. Raises NotEnabled, CallNotFound, InvalidCallState,
        SupervisionNotFound."""
        call = await self._live(call_id)
        supervised = self._supervised(call_id)
        async with supervised.lock:
            place = self._place(supervised, supervision_id)
            noted = entry(place.now, "supervision.end", "ended", by=claims.user_id)
            await self._journal.ledger.supervisions.remove(supervision_id, noted)
            self._leave_place(call, supervised, place, "ended")

    async def of_call(self, call_id: str) -> tuple[Supervision, ...]:
        """Who supervises a call, in the order in which they began; nobody where it is over. Raises CallNotFound."""
        with suppress(InvalidCallState):
            await self._find_live(call_id)
        return tuple(place.now for place in self._supervised(call_id).by_admin.values())

    # what happens to the calls

    def room_entered(self, call: LiveCall, room: Room) -> None:
        """A call has a room: its supervisors have booths in it. Of a call that was elsewhere before they are in the
        ledger."""
        if not self.enabled:
            return
        supervised = self._calls.get(call.id)
        if supervised is not None:
            for place in supervised.by_admin.values():
                self._open_booth(call, room, place)
        elif room.epoch > 1:
            room.seats_to_come = True
            supervised = self._calls[call.id] = Supervised()
            self._tasks.start(self._load(call, room, supervised), f"who supervises call {call.id}")

    def producer_changed(self, call: LiveCall, change: ProducerChange, party: PartyRole, producer: Producer) -> None:
        """What is told to the other party is told to supervisors."""
        supervised = self._calls.get(call.id)
        if supervised is None:
            return
        for place in supervised.by_admin.values():
            self._journal.append(events.producer(change, call, party, producer, place.person))

    def call_left(self, call: LiveCall) -> None:
        """A call has ended, and its supervisions with it; or it is another node's, and so are they."""
        supervised = self._calls.pop(call.id, None)
        if supervised is None or call.end_reason is None:
            return
        for place in list(supervised.by_admin.values()):
            self._leave_place(call, supervised, place, "call_ended")
            self._forget(place.now, "call_ended")

    async def run(self) -> None:
        """End the supervisions whose tokens are over or revoked, and those of admins who are gone; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for call, supervised, place in self._everybody():
                why = self._why_over(call, place)
                if why is not None:
                    self._leave_place(call, supervised, place, why)
                    self._forget(place.now, why)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(STORED_WITHIN_S):
                await self._tasks.wait()
        except TimeoutError:
            logger.warning("ends of supervisions could not be stored")
        await self._tasks.close()

    # inside

    async def _live(self, call_id: str) -> LiveCall:
        """Raises NotEnabled; CallNotFound, LivesElsewhere; InvalidCallState where it has ended, or is ending."""
        if not self.enabled:
            raise NotEnabled("SUPERVISION is off")
        return await self._find_live(call_id)

    def _require_live(self, call: LiveCall) -> None:
        """Raises LivesElsewhere where it has gone to another node meanwhile, InvalidCallState where it has ended."""
        if call.end_reason is None and self._registry.find(call.id) is not call:
            raise LivesElsewhere(call.id)
        if not call.live:
            raise InvalidCallState(f"call {call.id} is {call.state}")

    def _supervised(self, call_id: str) -> Supervised:
        return self._calls.get(call_id) or Supervised()

    def _place(self, supervised: Supervised, supervision_id: str) -> Place:
        for place in supervised.by_admin.values():
            if place.now.id == supervision_id:
                return place
        raise SupervisionNotFound(supervision_id)

    def _check_speaker(self, supervised: Supervised, admin_id: str, mode: SupervisionMode) -> None:
        """Any number may listen, one may speak."""
        others = (place.now for place in supervised.by_admin.values() if place.now.admin_id != admin_id)
        if mode != "listen" and any(other.mode != "listen" for other in others):
            raise SupervisorSpeaks("another admin speaks in that call")

    async def _change(
        self,
        call: LiveCall,
        place: Place,
        claims: Claims,
        mode: SupervisionMode,
        to: PartyRole | None,
        reason: str | None,
    ) -> Supervision:
        changed = replace(
            place.now,
            mode=mode,
            whispers_to=to,
            token_until_ms=until_ms(claims),
            token_issued_ms=issued_ms(claims),
        )
        await self._journal.ledger.supervisions.put(changed, entry(changed, "supervision.change", reason))
        self._require_live(call)
        place.now = changed
        booth = call.room.booths.get(changed.admin_id) if call.room is not None else None
        if booth is not None:
            booth.address(changed.audience)
        self._journal.append(events.supervision(call, changed))
        return changed

    def _take_place(self, call: LiveCall, supervised: Supervised, made: Supervision) -> None:
        place = supervised.by_admin[made.admin_id] = Place(made, now().monotonic)
        if call.room is not None:
            self._open_booth(call, call.room, place)

    def _open_booth(self, call: LiveCall, room: Room, place: Place) -> None:
        place.seen_at = now().monotonic
        room.open_booth(place.now.admin_id, place.now.audience)
        self._journal.append(events.supervision(call, place.now))

    def _leave_place(self, call: LiveCall, supervised: Supervised, place: Place, why: SupervisionEnd) -> None:
        del supervised.by_admin[place.now.admin_id]
        if call.room is not None:
            call.room.close_booth(place.now.admin_id)
        self._journal.append(events.supervision_ended(place.now, why))
        if self._told and not supervised.by_admin and call.live:
            self._tell_parties(call, supervised=False)
        logger.info("supervision %s of call %s is over: %s", place.now.id, call.id, why)

    def _tell_parties(self, call: LiveCall, *, supervised: bool) -> None:
        for event in events.supervised(call, supervised, now()):
            self._journal.append(event)

    def _everybody(self) -> Iterator[tuple[LiveCall, Supervised, Place]]:
        for call_id, supervised in list(self._calls.items()):
            call = self._registry.find(call_id)
            if call is None:
                self._calls.pop(call_id, None)  # it was asked for as the call ended
                continue
            for place in list(supervised.by_admin.values()):
                yield call, supervised, place

    def _why_over(self, call: LiveCall, place: Place) -> SupervisionEnd | None:
        at, supervision = now(), place.now
        if supervision.token_until_ms is not None and at.utc_ms >= supervision.token_until_ms:
            return "token_expired"
        issued = supervision.token_issued_ms
        if self._standing.is_revoked(place.person, None if issued is None else issued / 1000):
            return "token_withdrawn"
        booth = call.room.booths.get(supervision.admin_id) if call.room is not None else None
        if booth is None or booth.present or not (call.room and call.room.producers):  # else there is nothing to hear
            place.seen_at = at.monotonic
        return "absent" if at.monotonic - place.seen_at >= self.absent_s else None

    def _forget(self, supervision: Supervision, why: SupervisionEnd) -> None:
        self._tasks.start(self._remove(supervision, why), f"end of supervision {supervision.id}")

    async def _remove(self, supervision: Supervision, why: SupervisionEnd) -> None:
        noted = entry(supervision, "supervision.end", why)
        await patiently(lambda: self._journal.ledger.supervisions.remove(supervision.id, noted))

    async def _load(self, call: LiveCall, room: Room, supervised: Supervised) -> None:
        async with supervised.lock:
            try:
                stored = await patiently(lambda: self._journal.ledger.supervisions.of_call(call.id))
                if call.live:
                    for supervision in stored:
                        self._take_place(call, supervised, supervision)
            finally:
                room.seats_to_come = False


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the ledger, again and again until it can answer."""
    while True:
        try:
            return await ask()
        except LedgerUnavailable as error:
            logger.warning("a supervision waits for the ledger: %s", error)
            await asyncio.sleep(RETRY_EVERY_S)


def until_ms(claims: Claims) -> int | None:
    """Until when the token is good by which something is asked for."""
    return round(claims.expires_at * 1000) if isfinite(claims.expires_at) else None


def issued_ms(claims: Claims) -> int | None:
    issued = claims.issued_at
    return None if issued is None or not isfinite(issued) else round(issued * 1000)


def entry(supervision: Supervision, action: AuditAction, reason: str | None, *, by: str | None = None) -> Entry:
    """A line of the audit log about the admin ``by``; where nobody did it, about the admin who supervised."""
    details = {"supervision_id": supervision.id, "mode": supervision.mode, "to": supervision.whispers_to}
    return Entry(
        admin_id=by or supervision.admin_id,
        action=action,
        at_ms=now().utc_ms,
        call_id=supervision.call_id,
        reason=reason,
        details={camel_case(name): value for name, value in details.items() if value is not None},
    )
