"""The ledger: what must not be lost. Calls, their units, wallets and all events.

Every method is one transaction: it happens as a whole or not at all, and returns when it is on the disk. The events of
a change are stored with it and come back with their numbers, so that the caller publishes them after the commit.

Any method may raise LedgerUnavailable, and may then be called again with the same arguments: a charge or an adjustment
that was stored after all is found, and answered as it was; ``open_call`` then raises CallExists, ``move`` StaleState
with the state that was asked for.

Knows no clock: times (``_ms``: UTC, milliseconds since 1970) and durations come from the caller.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app.ledger import (
    adjustments,
    call_details,
    calls,
    changes,
    charging,
    daily_points,
    events,
    feedback,
    nodes,
    presence,
    pruning,
    purses,
    rates,
    recovery,
    refunds,
    wallets,
)
from app.ledger.audit import audit
from app.ledger.audit_log import AuditLog, Entry
from app.ledger.backend import open_database
from app.ledger.call_bodies import Details
from app.ledger.daily_points import DayOfPoints
from app.ledger.database import TIMEOUT_S, Database, Guard, Observer
from app.ledger.paging import MAX_PAGE
from app.ledger.people import People
from app.ledger.postgresql import SESSION
from app.ledger.recordings import Recordings
from app.ledger.steps import DeferredSteps, Ending, MediaMove, Moving, Opening, Talked
from app.ledger.supervisions import Supervisions
from app.ledger.upgrade import upgrade
from app.ledger.values import (
    MAX_POINTS,
    Adjusted,
    AdjustmentAsked,
    Adopted,
    Billing,
    Call,
    CallSearch,
    Changed,
    ChargeResult,
    Ended,
    Event,
    Feedback,
    Holdings,
    Interrupted,
    NewEvent,
    Outstanding,
    Page,
    Rate,
    Record,
    Recovered,
    Recovery,
    RefundAsked,
    Refunded,
    Segment,
    Transition,
    UnitDue,
    UnitRefused,
    Usage,
    Wallet,
)
from app.ledger.webhook_store import WebhookStore
from app.person import Person
from schemas.call import CallState
from schemas.types import PointKind

PAGE = 50  # lines

log = logging.getLogger(__name__)


class Ledger:
    """Made by :meth:`open`. ``node`` names the process whose calls it changes: Fenced for any other's."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self.node = node
        self.people = People(database)
        self.webhooks = WebhookStore(database)
        self.recordings = Recordings(database)
        self.audit_log = AuditLog(database)
        self.supervisions = Supervisions(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        node: str | None = None,
        timeout_s: float = TIMEOUT_S,
        guard: Guard | None = None,
        session: str = SESSION,
        wallet_low_points: int = 0,
    ) -> AsyncIterator[Ledger]:
        """Open, and where needed make or upgrade, the ledger at ``sqlite:///path`` or ``postgresql://...``.

        ``node`` must be a name that no process had before; without one it is made. ``timeout_s`` limits every
        transaction, waiting included. ``guard``, the claim on the database, is asked before each one that writes. Of a
        balance that falls below ``wallet_low_points`` back ends are told.
        Raises BadDatabaseUrl, SchemaTooNew, LedgerUnavailable.
        """
        await upgrade(url)
        async with open_database(url, timeout_s, session) as database:
            database.guard = guard
            database.subscriptions.wallet_low_points = wallet_low_points
            yield cls(database, node or nodes.new_incarnation(socket.gethostname()))

    # Calls

    async def open_call(self, opening: Opening) -> Changed:
        """Store a new call, at most ``matched``. Raises CallExists, and PartyBusy where an exclusive one may not be."""
        states = opening.call.states
        if not states or CallState.MATCHED.precedes(states[-1]):
            raise ValueError("a call begins in requesting, ringing or matched")
        return await self._database.write_each("open_call", changes.make, (self.node, opening))

    async def move(self, moving: Moving) -> Changed:
        """Move a call on, to any state before ``ending``. Of several that ask for one state, one succeeds.

        ``matched`` sets ``accepted_at_ms``; the first ``talking`` sets ``connected_at_ms``; each is a proof of life.
        Raises UnknownCall, Fenced, StaleState (which names the state that the call is in).
        """
        if moving.to in (CallState.ENDING, CallState.ENDED):
            raise ValueError("a call is ended by end_call")
        return await self._database.write_each("move", changes.make, (self.node, moving))

    async def move_media(self, move: MediaMove) -> Changed:
        """Store that a call has another room, and give it the next number; the same again changes nothing.

        Raises UnknownCall, Fenced.
        """
        return await self._database.write_each("move_media", changes.make, (self.node, move))

    async def end_call(self, ending: Ending) -> Ended:
        """End a call, from whatever state, exactly once: a second end returns what the first one stored.

        Raises UnknownCall, Fenced.
        """
        return await self._database.write_each("end_call", changes.make, (self.node, ending))

    async def extend(self, call_id: str, seconds: int) -> Call:
        """Raise the longest duration of a call, each time anew. Raises UnknownCall, Fenced, StaleState."""
        return await self._database.write(changes.extend, self.node, call_id, seconds)

    async def hold(self, call_id: str, since_ms: int | None, music: str | None = None) -> Call:
        """Put a call on hold, or take it off (``since_ms`` None). Raises UnknownCall, Fenced, StaleState."""
        return await self._database.write(changes.hold, self.node, call_id, since_ms, music)

    async def call(self, call_id: str) -> Call | None:
        return await self._database.look_up(calls.call, call_id)

    async def owner_of(self, call_id: str) -> str | None:
        """The node that a call which has not ended lives on; None where there is none."""
        return await self._database.look_up(calls.owner_of, call_id)

    async def calls_of(
        self,
        party: Person | None = None,
        *,
        states: Collection[CallState] = (),
        limit: int = PAGE,
        cursor: str | None = None,
    ) -> Page[Call]:
        """A party's calls, or everybody's, newest first; at most 200 on a page. Raises BadCursor."""
        return await self.search_calls(CallSearch.of_party(party, states), limit=limit, cursor=cursor)

    async def search_calls(self, search: CallSearch, *, limit: int = PAGE, cursor: str | None = None) -> Page[Call]:
        """The calls that are asked for, newest first; at most 200 on a page. Raises BadCursor."""
        return await self._database.read(calls.search, search, limit, cursor)

    async def every_call(self, search: CallSearch) -> AsyncIterator[tuple[Call, ...]]:
        """All calls that are asked for, newest first, some at a time; each time in a transaction of its own."""
        cursor, more = None, True
        while more:
            page = await self.search_calls(search, limit=MAX_PAGE, cursor=cursor)
            yield page.items
            cursor, more = page.next_cursor, page.next_cursor is not None

    async def timeline(self, call_id: str) -> tuple[Transition, ...]:
        """Every state that the call went through, in order; empty where there is no such call."""
        return await self._database.read(calls.timeline, call_id)

    async def segments(self, call_id: str) -> tuple[Segment, ...]:
        """The rooms that the call has had, in order."""
        return await self._database.read(calls.segments, call_id)

    async def interruptions(self, call_id: str) -> tuple[Interrupted, ...]:
        """The times in which not both parties were there, in order."""
        return await self._database.read(calls.interruptions, call_id)

    async def record(self, call_id: str) -> Record | None:
        """The record that was stored with the call's end; None where there is none, as when a restart ended it."""
        return await self._database.read(calls.record, call_id)

    async def records(self, call_ids: Collection[str]) -> dict[str, Record]:
        """The records of those of the calls that have one."""
        return await self._database.read(calls.records, call_ids)

    async def give_feedback(self, call_id: str, given: Feedback) -> Feedback:
        """Store what a party thinks of a call, or find what it has said before: the answer is what is stored.

        Raises UnknownCall; StaleState where the call has not ended, or ended more than a day ago.
        """
        return await self._database.write(feedback.give, call_id, given)

    async def feedback(self, call_id: str) -> tuple[Feedback, ...]:
        """What the parties said of a call, in the order in which they did."""
        return await self._database.read(feedback.of_call, call_id)

    async def details(self, call: Call) -> Details:
        """All that is stored of the call besides its row, which is given."""
        return await self._database.read(call_details.details, call)

    async def billing(self, call_id: str) -> Billing:
        """The call's units in order; empty where there is no such call."""
        return await self._database.read(calls.billing, call_id)

    # Money

    async def charge_unit(self, due: UnitDue) -> ChargeResult:
        """Charge one billable unit: see :meth:`charge_units`."""
        [result] = await self.charge_units([due])
        return result

    async def charge_units(self, due: Sequence[UnitDue]) -> list[ChargeResult]:
        """Charge billable units, of any number of calls, in a few commits. Returns one result per unit, in their order.

        Each is stored as a whole (unit, debit, totals, events) or not at all, and none spoils another. A unit that is
        stored already comes back as ``Charged(already=True)`` with its own events. PointsGone means that the call has
        to end; UnitRefused, that it is not talking or the index is not the next one; UnitFenced, that it is not ours.
        """
        results: list[ChargeResult] = []
        for batch in charging.batches(due):
            results += await self._charge_batch(batch)
        return results

    async def _charge_batch(self, due: Sequence[UnitDue]) -> list[ChargeResult]:
        try:
            return await self._database.write(charging.charge_units, self.node, due)
        except IntegrityError:
            if len(due) == 1:
                log.exception("unit %d of call %s contradicts the stored units", due[0].index, due[0].call_id)
                return [UnitRefused(due[0].call_id, due[0].index, None, None)]
        return [result for unit in due for result in await self._charge_batch([unit])]

    async def adjust(
        self,
        user_id: str,
        amount: int,
        *,
        reason: str,
        idempotency_key: str,
        at_ms: int,
        kind: PointKind = "paid",
        expires_at_ms: int | None = None,
        noted: Entry | None = None,
    ) -> Adjusted:
        """Add points to a wallet (take some of that kind, where negative). A wallet that is not there yet is made.

        The same key again changes nothing, and answers as the first time. ``noted`` goes into the audit log with it.
        Raises BalanceTooLow, BalanceTooHigh, AlreadyExpired, KeyReused (the key with another body).
        """
        if abs(amount) > MAX_POINTS:
            raise ValueError(f"an adjustment is at most {MAX_POINTS} points")
        asked = AdjustmentAsked(user_id, amount, reason, idempotency_key, kind, expires_at_ms)
        return await self._database.write(adjustments.adjust, asked, at_ms, noted)

    async def expire_points(self, *, now_ms: int) -> tuple[Event, ...]:
        """Take out of all wallets what has expired, and return what is to be told."""
        told: tuple[Event, ...] = ()
        while some := await self._database.write(adjustments.expire, now_ms):
            told += some
        return told

    async def holdings(self, user_id: str, *, at_ms: int) -> Holdings | None:
        """What a user holds at that moment, lot by lot; None without a wallet."""
        return await self._database.read(purses.holdings, user_id, at_ms)

    async def outstanding(self, *, at_ms: int) -> tuple[Outstanding, ...]:
        """What all users together hold, by kind and month of expiry."""
        return await self._database.read(adjustments.outstanding, at_ms)

    async def points_by_day(self, first: int, count: int) -> tuple[DayOfPoints, ...]:
        """What points did on so many days (UTC) from ``first`` on, which counts from 1970-01-01; oldest first."""
        return await self._database.read(daily_points.days, first, count)

    async def refund(self, asked: RefundAsked, *, at_ms: int, noted: Entry | None = None) -> Refunded:
        """Give back points of a call to the wallet that paid for it, whoever has the call now.

        The same key again changes nothing, and answers as the first time. ``noted`` goes into the audit log with it.
        Raises UnknownCall, RefundTooHigh, BalanceTooHigh, KeyReused (the key with another body).
        """
        return await self._database.write(refunds.refund, asked, at_ms, noted)

    async def balance(self, user_id: str) -> Wallet | None:
        return await self._database.read(wallets.wallet, user_id)

    async def balances(self, user_ids: Collection[str]) -> dict[str, int]:
        """The balances of those that have a wallet."""
        return await self._database.read(wallets.balances, user_ids)

    async def usage(self, user_id: str, *, limit: int = PAGE, cursor: str | None = None) -> Page[Usage]:
        """One line per call that cost the user something, newest first; at most 200 on a page. Raises BadCursor."""
        return await self._database.read(wallets.usage, user_id, limit, cursor)

    async def rate(self, otomo_id: str) -> Rate | None:
        """The otomo's own price, and tariff where there is one; None where there is neither."""
        return await self._database.read(rates.rate, otomo_id)

    async def knows_otomo(self, otomo_id: str) -> bool:
        """Whether the otomo ever had a price of their own, or a call."""
        return await self._database.read(rates.knows_otomo, otomo_id)

    async def set_rate(self, otomo_id: str, rate: Rate, *, at_ms: int) -> None:
        """Set what the otomo's calls cost from now on; calls that exist keep theirs."""
        await self._database.write(rates.set_rate, otomo_id, rate, at_ms)

    # Events

    async def append_events(self, new: Iterable[NewEvent], *, at_ms: int) -> tuple[Event, ...]:
        """Store events that belong to no other change. They may be delayed a moment, to share another's commit."""
        return await self.store_deferred(DeferredSteps((), tuple(new), at_ms))

    async def store_deferred(self, change: DeferredSteps) -> tuple[Event, ...]:
        """Like :meth:`append_events`, and store the deferred steps of calls that are not past them already.

        Steps and events of a call that is another node's by now are left out.
        """
        return await self._database.write_each("note", changes.make, (self.node, change), urgent=False)

    async def events_since(self, person: Person, seq: int, *, limit: int = events.REPLAY_LIMIT) -> tuple[Event, ...]:
        """The events for a person after ``seq``, oldest first; for a user, those for all users included."""
        return await self._database.look_up(events.since, person, seq, limit=limit)

    async def tail(self, seq: int, *, limit: int = events.REPLAY_LIMIT) -> tuple[Event, ...]:
        """All events after ``seq``, oldest first."""
        return await self._database.look_up(events.tail, seq, limit=limit)

    async def latest_seq(self) -> int:
        """The number of the newest event; 0 where there is none."""
        return await self._database.look_up(events.latest_seq)

    async def prune_events(self, *, before_ms: int) -> int:
        """Delete older events; returns how many. Units and transactions stay. Where another node is pruning, it is left
        to that one."""
        return await self._prune(pruning.events_before, before_ms, pruning.EVENTS_AT_ONCE)

    async def prune_calls(self, *, before_ms: int) -> int:
        """Delete calls that ended earlier and never connected, with all that was stored of them; returns how many.

        Calls that connected stay, and so does everything that cost points. Where another node is pruning, it is left to
        that one.
        """
        return await self._prune(pruning.unconnected_before, before_ms, pruning.CALLS_AT_ONCE)

    async def _prune(self, some: Callable[[Connection, int], int], before_ms: int, at_once: int) -> int:
        """In transactions of ``at_once`` rows, between which others have their turn."""
        pruned = last = await self._database.write(some, before_ms)
        while last == at_once:
            last = await self._database.write(some, before_ms)
            pruned += last
        return pruned

    # Restart

    async def prove_alive(self, alive: recovery.Alive) -> None:
        """Store how long the parties of each call, by (id, epoch), have talked, and when both were last proven to be
        there."""
        await self._database.write(recovery.prove_alive, self.node, alive)

    async def open_calls(self) -> tuple[Call, ...]:
        """The calls of this node that have not ended."""
        return await self._database.read(calls.open_calls, self.node)

    async def recover(self, *, now_ms: int, window_ms: int = 0) -> Recovery:
        """Take over every open call that is no live node's: a process has left it.

        Calls in which both parties were proven to talk in the last ``window_ms`` are this node's from now on, and
        interrupted. The others end with ``system_error`` at their last proof; those that never connected end now, with
        duration 0. Of a node of a cluster that was heard of in that time all calls go on, those that ring included.
        Nothing is charged. A second call does nothing, and several nodes at once share what there is.
        """
        found = Recovery()
        while True:
            some = await self.recover_some(recovery.AT_ONCE, now_ms=now_ms, window_ms=window_ms)
            found = Recovery(found.ended + some.ended, found.adopted + some.adopted, found.events + some.events)
            if some.count < recovery.AT_ONCE:
                return found

    async def recover_some(self, limit: int, *, now_ms: int, window_ms: int = 0) -> Recovery:
        """As :meth:`recover`, at most so many, in one transaction: fewer where no more are left."""
        return await self._database.write(recovery.recover, self.node, now_ms, window_ms, limit)

    async def take_call(self, call_id: str, owner: str, epoch: int, talked: Talked) -> Adopted:
        """Take over a connected call that its ``owner`` gives away, as it stands there: interrupted, until both parties
        are heard here. Raises UnknownCall, Fenced, StaleState where it is not connected."""
        return await self._database.write(recovery.take_call, self.node, call_id, owner, epoch, talked)

    async def forget_nodes(self, *, alone: bool) -> None:
        """Forget nodes that are gone and have no calls any more; all of them where this process is ``alone``."""
        await self._database.write(nodes.forget_all if alone else nodes.forget_gone)

    async def recovery_log(self, *, limit: int = PAGE) -> tuple[Recovered, ...]:
        """The calls that restarts found open, and what became of them, newest first."""
        return await self._database.read(recovery.log_lines, limit)

    # Who is connected, over all nodes

    async def set_connected(self, person: Person, *, connected: bool) -> None:
        """Store that somebody has a WebSocket on this node, or none any more."""
        await self._database.write_each("set_connected", presence.set_connected, (self.node, person, connected))

    async def is_connected(self, person: Person) -> bool:
        """Whether the person has a WebSocket on any node."""
        return await self._database.look_up(presence.is_connected, person)

    async def ringing_since(self, otomo_id: str) -> int | None:
        """The number of the oldest event by which a call that still rings was told to the otomo."""
        return await self._database.look_up(events.ringing_since, otomo_id)

    async def tell_status(self, otomo_id: str, *, offline_after_ms: int, every_ms: int) -> presence.Told:
        """Store what all users are to be told of an otomo: nothing where they know it, or are not to be told yet."""
        look = presence.Look(otomo_id, offline_after_ms, every_ms)
        return await self._database.write_each("tell_status", presence.tell_status, look)

    async def leave_gone(self) -> Collection[str]:
        """Count the WebSockets of nodes that are no more as closed; returns the otomos who had one there."""
        return await self._database.write(presence.leave_gone)

    # Health

    def observe_writes(self, observer: Observer) -> None:
        """Call ``observer`` after every write; it must be quick and raise nothing."""
        self._database.observe = observer

    async def check(self) -> None:
        """Raises LedgerUnavailable unless the database answers a query, is still the one that was opened, and is this
        node's."""
        if self._database.guard is not None:
            self._database.guard.check()
        await self._database.check()

    async def ping(self) -> None:
        """Raises LedgerUnavailable unless a writer gets its turn now."""
        await self._database.write(_answer)

    async def audit(self) -> tuple[str, ...]:
        """Read everything, and return a sentence for each thing that does not add up."""
        return await self._database.read(audit)


def _answer(tx: Connection) -> None:
    tx.execute(text("SELECT 1"))
