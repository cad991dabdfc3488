"""When a unit is due, and whether it is charged. The ledger does the charging; nothing is counted here.

A unit is due by the call's tariff, after so many seconds in which both parties talked. It is charged once both are
proven to have been there at that moment or later; until then it waits for the next sweep, and where the clock is set
back it becomes due again later. A unit that can't be stored waits, in order, until it can; its call goes on for a
grace, and then ends.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.calls.call import EndReason, LiveCall
from app.calls.journal import Journal
from app.clock import Moment, now, shifted
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Charged, ChargeResult, PointsGone, UnitDue, UnitFenced, UnitRefused
from app.tariffs import due_s, due_together
from schemas.signaling import TickStatus

RETRY_EVERY_S = 0.5
TOGETHER_S = 0.05  # within which units that are due one after another share a commit; the first one does not wait
DECIDE_AGAIN_S = 0.25  # how often a due unit is decided anew: sweeps come once a second
LEDGER_GRACE_S = 30.0  # how long a call goes on while its units can't be stored

logger = logging.getLogger(__name__)

End = Callable[[LiveCall, EndReason, str], object]
"""Begins to end a call; does not wait."""
Lose = Callable[[LiveCall], object]
"""Forgets a call that is another node's by now."""
ChargedListener = Callable[[LiveCall, Charged], object]
"""Told of each unit that is stored; quick, and raises nothing."""


@dataclass(order=True, slots=True)
class Due:
    """When a call's next unit is due."""

    at: float
    number: int = field(compare=False)
    call: LiveCall = field(compare=False)


@dataclass(slots=True)
class Waiting:
    """A call's billable units that are not stored yet, oldest first; ``since`` is when storing first failed."""

    call: LiveCall
    units: list[UnitDue] = field(default_factory=list)
    since: float | None = None


class Meter:
    """Charges the units of all talking calls, many in one transaction."""

    def __init__(self, journal: Journal, end: End, lose: Lose, grace_s: float = LEDGER_GRACE_S) -> None:
        self._journal = journal
        self._end = end
        self._lose = lose
        self.on_charged: ChargedListener = ignore
        self._grace_s = grace_s
        self._due: list[Due] = []
        self._next: dict[str, int] = {}  # the number of each call's next unit
        self._waiting: dict[str, Waiting] = {}
        self._storing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._not_before = 0.0  # the next units are decided

    @property
    def waiting(self) -> int:
        """How many billable units are not stored yet."""
        return sum(unit.count for one in self._waiting.values() for unit in one.units)

    def follow(self, call: LiveCall, charged: int = 0) -> None:
        """A call's clock has begun to run: charge its units. ``charged`` is how many an earlier process has charged."""
        self._schedule(call, self._next.setdefault(call.id, charged + 1))
        self._wake.set()

    def decide_due(self, call: LiveCall, until: Moment) -> None:
        """Decide a call's units that were due by ``until``, at its end: the meter may be waiting for the ledger, or for
        another sweep."""
        while (number := self._next.get(call.id)) is not None:
            at = call.clock.reaches(due_s(call.tariff, number))
            if at is None or at > until.monotonic or not call.were_there(at):
                break
            self._take(call, number, shifted(until, at))
        if self._waiting:
            self._wake.set()

    async def stop(self, call: LiveCall) -> list[UnitDue]:
        """Charge nothing more for a call that is ending. Returns its billable units that are not stored yet."""
        async with self._storing:
            waiting = self._waiting.pop(call.id, None)
            self._next.pop(call.id, None)
        return waiting.units if waiting else []

    def forget(self, call: LiveCall) -> None:
        """Charge nothing more for a call that is another node's."""
        self._waiting.pop(call.id, None)
        self._next.pop(call.id, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._sleep()
            self._collect(present := now())
            self._not_before = present.monotonic + TOGETHER_S
            async with self._storing:
                await self._store()

    async def _sleep(self) -> None:
        wait_s = max(0.0, max(self._due[0].at, self._not_before) - now().monotonic) if self._due else None
        if self._waiting:
            wait_s = min(RETRY_EVERY_S, wait_s) if wait_s is not None else RETRY_EVERY_S
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass  # a unit is due, or it is time to try again
        self._wake.clear()

    def _schedule(self, call: LiveCall, number: int, not_before: float = 0.0) -> None:
        at = call.clock.reaches(due_s(call.tariff, number))
        if at is not None:
            heapq.heappush(self._due, Due(max(at, not_before), number, call))

    def _collect(self, present: Moment) -> None:
        """Decide every due unit: it is billable, or not yet, or its call's clock has stopped."""
        while self._due and self._due[0].at <= present.monotonic:
            due = heapq.heappop(self._due)
            call, at = due.call, due.call.clock.reaches(due_s(due.call.tariff, due.number))
            if not call.live or at is None or self._next.get(call.id) != due.number:
                continue  # followed again when its clock runs again
            if at > present.monotonic:  # the clock had stopped in between
                self._schedule(call, due.number)
            elif call.were_there(at):
                self._take(call, due.number, shifted(present, at))
            else:
                self._schedule(call, due.number, present.monotonic + DECIDE_AGAIN_S)

    def _take(self, call: LiveCall, number: int, moment: Moment) -> None:
        talked_ms, count = round(1000 * due_s(call.tariff, number)), due_together(call.tariff, number)
        unit = UnitDue(call.id, call.epoch, number, moment.utc_ms, talked_ms, count)
        self._waiting.setdefault(call.id, Waiting(call)).units.append(unit)
        self._next[call.id] = number + count
        self._schedule(call, number + count)

    async def _store(self) -> None:
        """Store one unit of each call that has any, in one go."""
        batch = [waiting for waiting in self._waiting.values() if waiting.call.live]
        if not batch:
            return
        units = [replace(one.units[0], epoch=one.call.epoch) for one in batch]
        try:
            results = await self._journal.charge_units(units)
        except LedgerUnavailable as error:
            logger.warning("%d units wait for the ledger: %s", len(units), error)
            self._lose_patience(batch)
            return
        again = False
        for waiting, unit, result in zip(batch, units, results, strict=True):
            waiting.since = None
            if isinstance(result, UnitFenced) and is_moving(waiting.call, unit.epoch):
                continue  # tried again, for the room that the call is in by then
            self._stored(waiting, result)
            again = again or bool(waiting.units)
        if again:
            self._wake.set()

    def _stored(self, waiting: Waiting, result: ChargeResult) -> None:
        call = waiting.call
        waiting.units.pop(0)
        if not waiting.units:
            self._waiting.pop(call.id, None)
        match result:
            case Charged():
                self.on_charged(call, result)
                if result.status is TickStatus.ENDED:
                    self._end(call, EndReason.LOW_BALANCE, "the balance is 0")
            case PointsGone():
                self._end(call, EndReason.LOW_BALANCE, "no points are left")
            case UnitFenced():
                self._lose(call)
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


def ignore(_: LiveCall, __: Charged) -> None:
    """Where nobody listens."""


def is_moving(call: LiveCall, epoch: int) -> bool:
    """Whether the call is getting another room, or has one since."""
    return call.epoch != epoch or call.lock.locked()
