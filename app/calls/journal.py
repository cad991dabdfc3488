"""Stores changes in the ledger, then publishes their events: nobody hears of anything that is not stored yet.

Events that belong to no other change (a producer was added, an otomo went offline) are stored many at a time.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from app.clock import now
from app.ledger import Ledger
from app.ledger.audit_log import Entry
from app.ledger.errors import LedgerUnavailable
from app.ledger.presence import Told
from app.ledger.recovery import Alive
from app.ledger.steps import DeferredStep, DeferredSteps, Ending, MediaMove, Moving, Opening
from app.ledger.values import (
    Adjusted,
    Call,
    Changed,
    Charged,
    ChargeResult,
    Ended,
    Event,
    NewEvent,
    RefundAsked,
    Refunded,
    UnitDue,
)
from schemas.types import PointKind

Publish = Callable[[Sequence[Event]], None]
ChargeListener = Callable[[Charged], None]

RETRY_EVERY_S = 0.5
LOOK_EVERY_S = 0.25  # for what other nodes have stored, should a bell be lost
DEFER_FOR_S = 0.5  # in which most calls take their next step, and have the deferred one stored with it
BACKLOG = 100_000  # events that wait for the ledger; beyond it the oldest are dropped, and that is logged
PAGE = 1000  # events that are stored in one transaction, or read at a time
PROOFS_AT_ONCE = 200  # calls in one transaction: other writers wait some milliseconds for it
MAX_OUT_OF_ORDER = 10_000  # events held back for those before them; beyond it they are read again from the ledger

logger = logging.getLogger(__name__)


class Journal:
    """Stores, then publishes, in the order of the commits."""

    def __init__(self, ledger: Ledger, publish: Publish, published: int) -> None:
        """``published`` is the number of the last event that is published already."""
        self.ledger = ledger
        self._hearers = [publish]
        self._published = published
        self._out_of_order: dict[int, Event] = {}  # stored events that wait for those before them, by number
        self._reading = asyncio.Lock()  # one task reads on for all
        self._backlog: deque[NewEvent] = deque()
        self._dropped = 0
        self._deferred: dict[str, DeferredStep] = {}  # by call: those that wait for its next step
        self._overdue: list[DeferredStep] = []  # those that have waited long enough
        self._wake = asyncio.Event()
        self._bell = asyncio.Event()
        self._all_told_at: float | None = None  # monotonic, once others are listened to
        self._in_doubt = False  # whether a commit's answer was lost, and with it perhaps events
        self._charge_listeners: list[ChargeListener] = []

    def on_charge(self, listener: ChargeListener) -> None:
        """Call ``listener(charged)`` for each unit once it is stored, and not again when it is found stored already."""
        self._charge_listeners.append(listener)

    def on_publish(self, hearer: Publish) -> None:
        """Call ``hearer(events)`` with what is published, in its order; it must be quick and raise nothing."""
        self._hearers.append(hearer)

    def _publish(self, events: Sequence[Event]) -> None:
        for hear in self._hearers:
            hear(events)

    async def extend(self, call_id: str, seconds: int) -> Call:
        return await self.ledger.extend(call_id, seconds)

    async def hold(self, call_id: str, since_ms: int | None, music: str | None) -> Call:
        return await self.ledger.hold(call_id, since_ms, music)

    async def open_call(self, opening: Opening) -> Changed:
        with self._noting_doubt():
            changed = await self.ledger.open_call(opening)
        await self._publish_in_order(changed.events)
        return changed

    async def move(self, moving: Moving) -> Changed:
        with self._noting_doubt():
            changed = await self.ledger.move(replace(moving, deferred=self._deferred.get(moving.call_id)))
        self._deferred.pop(moving.call_id, None)
        await self._publish_in_order(changed.events)
        return changed

    async def move_media(self, move: MediaMove) -> Changed:
        with self._noting_doubt():
            changed = await self.ledger.move_media(replace(move, deferred=self._deferred.get(move.call_id)))
        self._deferred.pop(move.call_id, None)
        await self._publish_in_order(changed.events)
        return changed

    async def end_call(self, ending: Ending) -> Ended:
        ended = await self.ledger.end_call(replace(ending, deferred=self._deferred.get(ending.call_id)))
        self._deferred.pop(ending.call_id, None)
        await self._publish_in_order(ended.events)
        return ended

    async def charge_units(self, due: Sequence[UnitDue]) -> list[ChargeResult]:
        results = await self.ledger.charge_units(due)
        charged = [result for result in results if isinstance(result, Charged)]
        await self._publish_in_order([event for result in charged for event in result.events])
        for result in charged:
            if not result.already:
                for listener in self._charge_listeners:
                    listener(result)
        return results

    async def adjust(
        self,
        user_id: str,
        amount: int,
        *,
        reason: str,
        idempotency_key: str,
        kind: PointKind = "paid",
        expires_at_ms: int | None = None,
        noted: Entry | None = None,
    ) -> Adjusted:
        with self._noting_doubt():
            adjusted = await self.ledger.adjust(
                user_id,
                amount,
                reason=reason,
                idempotency_key=idempotency_key,
                at_ms=now().utc_ms,
                kind=kind,
                expires_at_ms=expires_at_ms,
                noted=noted,
            )
        await self._publish_in_order(adjusted.events)
        return adjusted

    async def store(self, storing: Awaitable[Sequence[Event]]) -> None:
        """Publish what a transaction has stored, once it has."""
        with self._noting_doubt():
            stored = await storing
        await self._publish_in_order(stored)

    async def expire_points(self) -> None:
        """Take out points that have expired, and tell their users."""
        with self._noting_doubt():
            told = await self.ledger.expire_points(now_ms=now().utc_ms)
        await self._publish_in_order(told)

    async def refund(self, asked: RefundAsked, noted: Entry | None = None) -> Refunded:
        with self._noting_doubt():
            refunded = await self.ledger.refund(asked, at_ms=now().utc_ms, noted=noted)
        await self._publish_in_order(refunded.events)
        return refunded

    async def tell_status(self, otomo_id: str, offline_after_ms: int, every_ms: int) -> Told:
        """In a cluster: store and publish what users are to be told of an otomo."""
        told = await self.ledger.tell_status(otomo_id, offline_after_ms=offline_after_ms, every_ms=every_ms)
        await self._publish_in_order(told.events)
        return told

    def append(self, event: NewEvent) -> None:
        """Store and publish an event soon, after those that were appended before it."""
        if len(self._backlog) >= BACKLOG:
            self._drop(self._backlog.popleft())
        self._backlog.append(event)
        self._wake.set()

    def _drop(self, event: NewEvent) -> None:
        if not self._dropped:
            logger.error("the ledger is %d events behind: %s is dropped, and those after it", BACKLOG, event)
        self._dropped += 1

    def defer(self, step: DeferredStep) -> None:
        """Store a step with the call's next one, or else soon, without waiting for it."""
        self._deferred[step.call_id] = step
        asyncio.get_running_loop().call_later(DEFER_FOR_S, self._store_deferred, step)

    def _store_deferred(self, step: DeferredStep) -> None:
        """Store a step by itself, where no later one has taken it along."""
        if self._deferred.get(step.call_id) is step:
            del self._deferred[step.call_id]
            self._overdue.append(step)
            self._wake.set()

    async def run(self) -> None:
        """Store what was appended and deferred, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()
            await self._catch_up()

    @property
    def behind_s(self) -> float:
        """For how long something may have been stored that is not told here yet; 0 where no other node stores."""
        return 0.0 if self._all_told_at is None else now().monotonic - self._all_told_at

    def ring(self) -> None:
        """Somebody has stored events: another node, or this one."""
        self._bell.set()

    async def tail(self) -> None:
        """Tell what other nodes have stored, when the bell rings and now and then without it; until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._bell.wait()
            self._bell.clear()
            try:
                await self._read_on()
                self._all_told_at = now().monotonic
            except LedgerUnavailable as error:
                logger.warning("what others have stored is told later: %s", error)
                await asyncio.sleep(RETRY_EVERY_S)

    async def _flush(self) -> None:
        while self._backlog or self._overdue:
            batch = [self._backlog.popleft() for _ in range(min(PAGE, len(self._backlog)))]
            overdue, self._overdue = self._overdue, []
            await self._store(batch, overdue)
        if self._dropped:
            logger.error("%d events were dropped while the ledger was behind", self._dropped)
            self._dropped = 0

    async def _store(self, batch: list[NewEvent], deferred: list[DeferredStep]) -> None:
        """Store and publish, trying until it succeeds. Before each new try, look whether the last one was stored after
        all."""
        before, at_ms, perhaps_stored = self._published, now().utc_ms, False
        change = DeferredSteps(tuple(deferred), tuple(batch), at_ms)
        while True:
            try:
                if perhaps_stored and batch and await self._is_stored(batch[0], at_ms, before):
                    await self._read_on()
                else:
                    await self._publish_in_order(await self.ledger.store_deferred(change))
            except LedgerUnavailable as error:
                logger.warning("%d events and %d steps wait for the ledger: %s", len(batch), len(deferred), error)
                perhaps_stored = perhaps_stored or error.outcome_unknown
                await asyncio.sleep(RETRY_EVERY_S)
            else:
                return

    @contextmanager
    def _noting_doubt(self) -> Iterator[None]:
        try:
            yield
        except LedgerUnavailable as error:
            if error.outcome_unknown:
                self._in_doubt = True
                self._wake.set()
            raise

    async def _catch_up(self) -> None:
        """Publish what was stored by a commit whose answer was lost: its caller may never try again."""
        while self._in_doubt:
            try:
                await self.ledger.ping()  # waits its turn behind a commit that is still under way
                self._in_doubt = False
                await self._read_on(behind_writers=True)
            except LedgerUnavailable as error:
                logger.warning("events of a lost commit can't be read yet: %s", error)
                self._in_doubt = True
                await asyncio.sleep(RETRY_EVERY_S)

    async def _is_stored(self, first: NewEvent, at_ms: int, after: int) -> bool:
        """Whether the batch that begins with ``first`` is stored behind the number ``after``."""
        await self.ledger.ping()  # waits its turn behind a commit that is still under way
        wanted = (*first, at_ms)
        while page := await self.ledger.tail(after, limit=PAGE):
            if any(one[1:] == wanted for one in page):
                return True
            after = page[-1].seq
        return False

    async def _publish_in_order(self, events: Sequence[Event]) -> None:
        """Publish events in the order of their numbers. A gap is a commit whose answer is still to come, or was lost,
        or another node's: it is filled from the ledger, so that every event is published, and once."""
        if not events:
            return
        following = list(range(self._published + 1, self._published + 1 + len(events)))
        if not self._out_of_order and [event.seq for event in events] == following:  # the usual case
            self._published = following[-1]
            self._publish(events)
            return
        self._keep(events)
        self._publish_following()
        if self._out_of_order:
            await asyncio.sleep(0)  # answers of one commit come in the same turn of the event loop
            self._publish_following()
        try:
            await self._read_on(max(event.seq for event in events))
        except LedgerUnavailable as error:  # the change is stored all the same: its events are published later
            logger.warning("%d events are published later: %s", len(self._out_of_order), error)
            self._in_doubt = True
            self._wake.set()

    async def _read_on(self, until: float = math.inf, *, behind_writers: bool = False) -> None:
        """Publish the ledger's events that are not published yet, page by page, up to the number ``until`` or all of
        them.

        Numbers rise with commits. So a number that the ledger lacks, below the last one that was read or whose commit
        was answered, is pruned: it is skipped, and never waited for. With ``behind_writers``, callers whose commits are
        read get their answer before the events are published. Raises LedgerUnavailable.
        """
        async with self._reading:
            more = True
            while more and self._published < until:
                answered = max(self._out_of_order, default=0)
                page = await self.ledger.tail(self._published, limit=PAGE)
                if behind_writers:
                    await self.ledger.ping()
                read = page[-1].seq if page else 0
                self._keep(page)
                more = len(page) == PAGE
                self._publish_up_to(read if more else max(answered, read))

    def _keep(self, events: Iterable[Event]) -> None:
        """Keep events until those before them are there."""
        if len(self._out_of_order) > MAX_OUT_OF_ORDER:
            self._out_of_order.clear()
        self._out_of_order.update((event.seq, event) for event in events if event.seq > self._published)

    def _publish_up_to(self, last: int) -> None:
        """Publish what is kept up to the number ``last``. What is missing below it was published before, or is
        pruned."""
        ready = [self._out_of_order.pop(seq) for seq in sorted(seq for seq in self._out_of_order if seq <= last)]
        if ready:
            self._published = ready[-1].seq
            self._publish(ready)
        self._publish_following()

    def _publish_following(self) -> None:
        """Publish the kept events that follow without a gap on the published ones."""
        ready: list[Event] = []
        while (event := self._out_of_order.pop(self._published + 1 + len(ready), None)) is not None:
            ready.append(event)
        if ready:
            self._published = ready[-1].seq
            self._publish(ready)

    async def prove_alive(self, alive: Alive) -> None:
        """Store proofs of life, if possible: those that can't be stored now are stored the next time."""
        lines = list(alive.items())
        try:
            for start in range(0, len(lines), PROOFS_AT_ONCE):
                await self.ledger.prove_alive(dict(lines[start : start + PROOFS_AT_ONCE]))
        except LedgerUnavailable as error:
            logger.warning("proofs of life were not stored: %s", error)
