"""Calls that end by themselves: when their points or their longest duration will be over, the warnings before, and the
cut. What is charged is decided elsewhere (``metering.py``), and by the ledger.

A call's end is a number of seconds of talk. It is reckoned anew when a unit was charged, when its user's balance has
changed, and when the call was extended; while the call is interrupted, nothing comes nearer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from msgspec import json

from app.calls import call_events
from app.calls.call import EndReason, LiveCall
from app.calls.journal import Journal
from app.clock import Moment, now, shifted
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Charged, Event
from app.tariffs import End, due_s, end_of
from app.tasks import Tasks
from schemas.signaling import TYPE_OF, WalletUpdate

ENDING_WARNINGS_S = (60, 10)
ASK_TOGETHER_S = 0.1  # balances of calls that begin in that time are read at once
LOOK_AGAIN_S = 0.25  # at an end that could not be decided
SOON_S = 0.005  # a timer may be that much early
WALLET_CHANGED = TYPE_OF[WalletUpdate]

logger = logging.getLogger(__name__)

Cut = Callable[[LiveCall, EndReason, str, Moment], object]
"""Begins to end a call, as of a moment; does not wait."""
Charge = Callable[[LiveCall, Moment], None]
"""Charges what a call has to pay up to a moment; does not wait."""
Prove = Callable[[LiveCall, float], Awaitable[None]]
"""Finds out, in a moment, whether both parties of a call are there at a monotonic time that has just come."""
WarningListener = Callable[[LiveCall, End], None]


@dataclass(slots=True)
class Reckoned:
    """A call whose clock has begun to run: how many of its units are stored, where it ends, of which warnings it was
    told."""

    call: LiveCall
    billed_units: int
    end: End | None = None
    warned: set[int] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    decided: bool = False  # whether its end is being decided


class Endings:
    """The ends of this node's talking calls."""

    def __init__(
        self,
        journal: Journal,
        cut: Cut,
        charge_now: Charge,
        prove: Prove,
        warnings_s: Collection[int] = ENDING_WARNINGS_S,
        ask_together_s: float = ASK_TOGETHER_S,
    ) -> None:
        self._journal = journal
        self._cut = cut
        self._charge_now = charge_now
        self._prove = prove
        self._warnings_s = tuple(sorted(warnings_s, reverse=True))
        self._ask_together_s = ask_together_s
        self._calls: dict[str, Reckoned] = {}
        self._of_user: defaultdict[str, set[str]] = defaultdict(set)
        self._balances: dict[str, tuple[int, int]] = {}  # of users with calls: an event's number, and what it told
        self._unknown: set[str] = set()  # users whose balances are to be read
        self._warning_listeners: list[WarningListener] = []
        self._tasks = Tasks()

    def on_warning(self, listener: WarningListener) -> None:
        """Call ``listener(call, end)`` when both parties are warned of an end; it must be quick and raise nothing."""
        self._warning_listeners.append(listener)

    async def close(self) -> None:
        for one in self._calls.values():
            stop(one)
        await self._tasks.close()

    # what happens

    def follow(self, call: LiveCall, billed_units: int = 0) -> None:
        """A call's clock runs, for the first time or again; or will, after so many units."""
        self._calls.setdefault(call.id, Reckoned(call, billed_units))
        if call.tariff.unit_points and call.user_id not in self._of_user:
            self._ask(call.user_id)
        self._of_user[call.user_id].add(call.id)
        self.reckon(call)

    def forget(self, call: LiveCall) -> None:
        """The call is ending, or another node's."""
        one = self._calls.pop(call.id, None)
        if one is None:
            return
        stop(one)
        self._of_user[call.user_id].discard(call.id)
        if not self._of_user[call.user_id]:
            del self._of_user[call.user_id]
            self._balances.pop(call.user_id, None)

    def charged(self, call: LiveCall, result: Charged) -> None:
        """A unit of the call is stored."""
        one = self._calls.get(call.id)
        if one is None:
            return
        one.billed_units = max(one.billed_units, result.unit.index)
        if result.unit.balance_after is not None:
            number = max((event.seq for event in result.events), default=0)
            self._learn(call.user_id, number, result.unit.balance_after)
        self._reckon_all(call.user_id)

    def hear(self, events: Sequence[Event]) -> None:
        """Events that were published: some tell of a wallet that has changed."""
        for event in events:
            if event.type != WALLET_CHANGED or event.to is None or event.to.id not in self._of_user:
                continue
            if event.call_id not in self._calls:  # else ``charged`` says so, together with the number of units
                self._learn(event.to.id, event.seq, json.decode(event.payload, type=WalletUpdate).balance)
                self._reckon_all(event.to.id)

    # where a call ends

    def reckon(self, call: LiveCall) -> None:
        """Where the call ends by what is known now: warn, decide, or wait for the next of both."""
        one = self._calls.get(call.id)
        if one is None:
            return
        stop(one)
        if not call.live or not call.clock.runs:
            return
        _, balance = self._balances.get(call.user_id, (0, None))
        end = end_of(call.tariff, call.longest_s, one.billed_units, balance)
        if one.end is None or (end.at_s, end.reason) != (one.end.at_s, one.end.reason):
            one.warned.clear()
        one.end = end
        present = now()
        left_s = end.at_s - call.clock.talked_at(present.monotonic)
        if left_s <= SOON_S:
            self._arrive(one)
            return
        self._warn(one, end, left_s, present)
        next_s = max((w for w in self._warnings_s if w not in one.warned and w < left_s), default=0)
        one.timer = asyncio.get_running_loop().call_later(left_s - next_s, self.reckon, call)

    def _warn(self, one: Reckoned, end: End, left_s: float, present: Moment) -> None:
        """Tell both that the end is near, once for each distance; of those that have passed together, once."""
        passed = {w for w in self._warnings_s if left_s <= w + SOON_S}
        if passed <= one.warned:
            return
        one.warned |= passed
        at = shifted(present, present.monotonic + left_s)
        for event in call_events.ending(one.call, end, left_s, at):
            self._journal.append(event)
        for listener in self._warning_listeners:
            listener(one.call, end)

    def _arrive(self, one: Reckoned) -> None:
        if not one.decided:
            one.decided = True
            self._tasks.start(self._decide(one), f"call {one.call.id} is at its end")

    async def _decide(self, one: Reckoned) -> None:
        """The call has talked for as long as it may."""
        call, end = one.call, one.end
        try:
            at = call.clock.reaches(end.at_s) if end is not None else None
            if end is None or at is None:
                return
            if due_s(call.tariff, one.billed_units + 1) <= end.at_s:  # something is charged for up to this moment
                await self._prove(call, at)
            if call.live and call.clock.runs and one.end == end:
                await self._end(one, end, shifted(now(), at))
        finally:
            one.decided = False
            if call.live and call.clock.runs and call.id in self._calls and one.timer is None:
                one.timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self.reckon, call)

    async def _end(self, one: Reckoned, end: End, at: Moment) -> None:
        call = one.call
        if end.reason == "max_duration":
            self._cut(call, EndReason.MAX_DURATION, "the longest duration", at)
            return
        self._charge_now(call, now())  # the ledger ends it, unless there are points again
        if end.charged:
            return
        try:
            balance = (await self._journal.ledger.balances([call.user_id])).get(call.user_id, 0)
        except LedgerUnavailable as error:
            logger.warning("call %s: whether it can be paid is not known: %s", call.id, error)
            return
        now_due = end_of(call.tariff, call.longest_s, one.billed_units, balance)
        if call.live and call.clock.runs and one.end == end and now_due.at_s <= end.at_s:
            self._cut(call, EndReason.LOW_BALANCE, "the points are gone", at)

    # what is known of wallets

    def _learn(self, user_id: str, number: int, balance: int) -> None:
        """What an event told; the newest counts."""
        if number >= self._balances.get(user_id, (0, 0))[0]:
            self._balances[user_id] = (number, balance)

    def _reckon_all(self, user_id: str) -> None:
        for call_id in tuple(self._of_user.get(user_id, ())):
            self.reckon(self._calls[call_id].call)

    def _ask(self, user_id: str) -> None:
        if not self._unknown:
            self._tasks.start(self._read(), "balances are read")
        self._unknown.add(user_id)

    async def _read(self) -> None:
        """Read the balances of users whose calls have begun a moment ago. What events have told meanwhile is newer."""
        await asyncio.sleep(self._ask_together_s)
        asked, self._unknown = self._unknown & self._of_user.keys(), set()
        try:
            found = await self._journal.ledger.balances(asked) if asked else {}
        except LedgerUnavailable as error:
            logger.warning("the balances of %d users are read later: %s", len(asked), error)
            for user_id in asked:
                self._ask(user_id)
            return
        for user_id in asked & self._of_user.keys():
            self._balances.setdefault(user_id, (0, found.get(user_id, 0)))
            self._reckon_all(user_id)


def stop(one: Reckoned) -> None:
    if one.timer is not None:
        one.timer.cancel()
        one.timer = None
