"""When a unit is due, and whether it is charged. The ledger does the charging; nothing is counted here.

Unit *n* is due at ``connected_at + n × unit``, by the monotonic clock, and is charged only if both parties were alive
then. A unit that can't be stored waits, in order, until it can; its call goes on for a grace, and then ends.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from app.calls.call import EndReason, LiveCall, both_alive
from app.calls.journal import Journal
from app.clock import Moment, now
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Charged, ChargeResult, PointsGone, UnitDue, UnitRefused
from schemas.call import CallState
from schemas.signaling import TickStatus

RETRY_EVERY_S = 0.5
LEDGER_GRACE_S = 30.0  # how long a call goes on while its units can't be stored

logger = logging.getLogger(__name__)

End = Callable[[LiveCall, EndReason, str], object]
"""Begin to end a call; does not wait."""


@dataclass(order=True, slots=True)
class Due:
    """The next unit of a call, in the order of time."""

    at: float
    slot: int  # which unit of time since the connection, from 1
    call: LiveCall = field(compare=False)


@dataclass(slots=True)
class Waiting:
    """Billable units of one call that are not stored yet, oldest first; ``since`` is when storing first failed."""

    call: LiveCall
    moments: list[Moment] = field(default_factory=list)
    since: float | None = None


class Meter:
    """Charges the units of all talking calls, many in one transaction."""

    def __init__(
        self, journal: Journal, end: End, unit_s: float, alive_within_s: float, grace_s: float = LEDGER_GRACE_S
    ) -> None:
        self._journal = journal
        self._end = end
        self.unit_s = unit_s
        self._alive_within_s = alive_within_s
        self._grace_s = grace_s
        self._due: list[Due] = []
        self._waiting: dict[str, Waiting] = {}
        self._charged: defaultdict[str, int] = defaultdict(int)
        self._storing = asyncio.Lock()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many billable units are not stored yet."""
        return sum(len(one.moments) for one in self._waiting.values())

    def start_clock(self, call: LiveCall) -> None:
        self._schedule(call, 1)
        self._wake.set()

    def decide_due(self, until: Moment) -> None:
        """Decide what was due until then, before a call stops to talk: the meter may be waiting for the ledger."""
        self._collect(until)
        if self._waiting:
            self._wake.set()

    async def stop(self, call: LiveCall) -> list[UnitDue]:
        """Charge no more for a call that is ending. Returns its billable units that are not stored yet."""
        async with self._storing:
            waiting = self._waiting.pop(call.id, None)
            charged = self._charged.pop(call.id, 0)
        moments = waiting.moments if waiting else []
        return [unit_due(call, charged + number, moment) for number, moment in enumerate(moments, start=1)]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._sleep()
            self._collect(now())
            async with self._storing:
                await self._store()

    async def _sleep(self) -> None:
        wait_s = max(0.0, self._due[0].at - now().monotonic) if self._due else None
        if self._waiting:
            wait_s = min(RETRY_EVERY_S, wait_s) if wait_s is not None else RETRY_EVERY_S
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass  # a unit is due, or it is time to try again
        self._wake.clear()

    def _schedule(self, call: LiveCall, slot: int) -> None:
        if call.connected_at is not None:
            heapq.heappush(self._due, Due(call.connected_at.monotonic + slot * self.unit_s, slot, call))

    def _collect(self, present: Moment) -> None:
        """Decide every unit that is due: billable, or not. The next one is due a unit later, however late we are."""
        while self._due and self._due[0].at <= present.monotonic:
            due = heapq.heappop(self._due)
            if due.call.state is not CallState.TALKING:
                continue
            self._schedule(due.call, due.slot + 1)
            if both_alive(due.call, due.at, self._alive_within_s):
                late_ms = round((present.monotonic - due.at) * 1000)
                moment = Moment(due.at, present.utc_ms - late_ms)
                self._waiting.setdefault(due.call.id, Waiting(due.call)).moments.append(moment)
                due.call.billable_until = due.at
            else:
                logger.info("call %s: unit of time %d is free: a party was not there", due.call.id, due.slot)

    async def _store(self) -> None:
        """One unit of each call that has some, in one go."""
        batch = [waiting for waiting in self._waiting.values() if waiting.call.state is CallState.TALKING]
        if not batch:
            return
        units = [unit_due(one.call, self._charged[one.call.id] + 1, one.moments[0]) for one in batch]
        try:
            results = await self._journal.charge_units(units)
        except LedgerUnavailable as error:
            logger.warning("%d units wait for the ledger: %s", len(units), error)
            self._lose_patience(batch)
            return
        for waiting, result in zip(batch, results, strict=True):
            waiting.since = None
            self._stored(waiting, result)
        if self._waiting:
            self._wake.set()

    def _stored(self, waiting: Waiting, result: ChargeResult) -> None:
        call = waiting.call
        waiting.moments.pop(0)
        if not waiting.moments:
            self._waiting.pop(call.id, None)
        match result:
            case Charged():
                self._charged[call.id] = result.unit.index
                if result.status is TickStatus.ENDED:
                    self._end(call, EndReason.LOW_BALANCE, "the balance is 0")
            case PointsGone():
                self._end(call, EndReason.LOW_BALANCE, "no points are left")
            case UnitRefused():
                logger.error("call %s: the ledger refused unit %d: %s", call.id, result.index, result)
                self._end(call, EndReason.SYSTEM_ERROR, "the ledger refused a unit")

    def _lose_patience(self, batch: list[Waiting]) -> None:
        present = now().monotonic
        for waiting in batch:
            if waiting.since is None:
                waiting.since = present
            elif present - waiting.since > self._grace_s:
                self._end(waiting.call, EndReason.SYSTEM_ERROR, "units could not be stored")


def unit_due(call: LiveCall, index: int, moment: Moment) -> UnitDue:
    return UnitDue(call.id, index, moment.utc_ms, call.seconds_at(moment.monotonic))
