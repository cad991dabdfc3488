"""Sends what is due, on every node: takes deliveries from the ledger, posts them, stores what became of each.

Each endpoint has places of its own, so that a slow one keeps nobody else waiting. Whatever is taken and not stored,
because the process dies in between, is due again after the lease, with the same id.

Calls come first: between one taking of deliveries and the next the process has been idle for a moment. One that never
is, since as many calls are set up as it can do, takes some now and then; the others wait in the ledger, or another node
takes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from app.clock import now
from app.ledger.deliveries import Outcome, Taken
from app.ledger.errors import LedgerUnavailable
from app.ledger.webhook_store import WebhookStore
from app.tasks import Tasks
from app.webhooks.idle import idle_for
from app.webhooks.sender import Answered, Sender

RETRY_AFTER_S = (5, 30, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)))
"""After each failure; then the delivery is dead."""

Result = Literal["delivered", "failed", "dead"]
WHY_DISABLED = ("gone", "failing")
AttemptListener = Callable[[Result, float], None]
DisabledListener = Callable[[str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Nodes use the defaults; tests shorten them."""

    at_once: int = 16  # deliveries under way to one endpoint, from one node
    lease_s: float = 20.0  # longer than an attempt takes, and its storing
    poll_s: float = 1.0  # for retries, and for what other nodes have left
    idle_s: float = 0.02  # between one taking and the next; what happens meanwhile is taken together
    busy_s: float = 1.0  # after which deliveries are taken where the process is never idle
    store_again_s: float = 0.5
    close_within_s: float = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    outcome: Outcome
    at: float  # by the event loop's clock


class Deliverer:
    """``clock`` gives UTC in milliseconds."""

    def __init__(
        self,
        store: WebhookStore,
        sender: Sender,
        pace: Pace | None = None,
        clock: Callable[[], int] = lambda: now().utc_ms,
    ) -> None:
        self._store = store
        self._sender = sender
        self._pace = pace or Pace()
        self._clock = clock
        self._tasks = Tasks()
        self._wake = asyncio.Event()
        self._to_store = asyncio.Event()
        self._finished: list[Finished] = []
        self._under_way: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._attempt_listeners: list[AttemptListener] = []
        self._disabled_listeners: list[DisabledListener] = []

    def on_attempt(self, listener: AttemptListener) -> None:
        """Call ``listener(result, seconds)`` once an attempt's outcome is stored."""
        self._attempt_listeners.append(listener)

    def on_disabled(self, listener: DisabledListener) -> None:
        """Call ``listener(reason)`` when an endpoint's failures have disabled it."""
        self._disabled_listeners.append(listener)

    def wake(self) -> None:
        """Something may be due: look now."""
        self._wake.set()

    def committed(self) -> None:
        """Something was stored: look whether it is for us, where anybody wants anything."""
        if self._store.anything_wanted:
            self._wake.set()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.poll_s):
                    await self._wake.wait()
                await idle_for(self._pace.idle_s, self._pace.busy_s)
            self._wake.clear()
            # In a task of its own: what is taken when the loop is cancelled is sent all the same.
            await asyncio.shield(self._tasks.start(self._take_some(), "webhook deliveries are taken"))

    async def _take_some(self) -> bool:
        """Take what is due and there is room for, and begin to send it. Returns whether there was anything."""
        now_ms, lease_ms = self._clock(), round(1000 * self._pace.lease_s)
        try:
            if not self._store.anything_wanted and not await self._store.endpoints():
                return False
            taken = await self._store.take(dict(self._under_way), self._pace.at_once, now_ms=now_ms, lease_ms=lease_ms)
        except LedgerUnavailable as error:
            logger.warning("webhook deliveries wait for the ledger: %s", error)
            return False
        for one in taken:
            self._under_way[one.endpoint.id] += 1
            self._taken.add(one.id)
            self._tasks.start(self._deliver(one), f"delivery {one.id}")
        return bool(taken)

    async def _deliver(self, taken: Taken) -> None:
        now_ms = self._clock()
        answered = await self._sender.send(taken, now_ms)
        if self._under_way[taken.endpoint.id] == self._pace.at_once:
            self.wake()  # more may wait for room than for the outcome to be stored
        self._under_way[taken.endpoint.id] -= 1
        outcome = outcome_of(taken, answered, now_ms)
        self._finished.append(Finished(outcome, asyncio.get_running_loop().time()))
        self._to_store.set()

    async def store(self) -> None:
        """Store outcomes as they come, those that wait together in one commit."""
        while True:
            await self._to_store.wait()
            self._to_store.clear()
            if not await self._store_finished():
                self._to_store.set()
                await asyncio.sleep(self._pace.store_again_s)

    async def _store_finished(self) -> bool:
        """Returns whether what was there is stored."""
        some = list(self._finished)
        if not some:
            return True
        try:
            disabled = await self._store.finish([one.outcome for one in some])
        except LedgerUnavailable as error:
            logger.warning("what became of %d webhook deliveries waits for the ledger: %s", len(some), error)
            since = asyncio.get_running_loop().time() - self._pace.lease_s
            self._forget([one for one in some if one.at <= since])  # they are due again, and are sent again
            return False
        self._forget(some)
        for one, reason in zip(some, disabled, strict=True):
            self._tell(one.outcome)
            if reason is not None:
                self._tell_disabled(one.outcome.taken, reason)
        return True

    def _forget(self, some: list[Finished]) -> None:
        self._finished = [one for one in self._finished if one not in some]
        for one in some:
            self._taken.discard(one.outcome.taken.id)
        self.wake()  # what comes after them may be due now

    def _tell(self, outcome: Outcome) -> None:
        result: Result = "delivered" if outcome.delivered else "dead" if outcome.again_ms is None else "failed"
        for listener in self._attempt_listeners:
            listener(result, outcome.took_ms / 1000)
        if result == "dead":
            logger.error(
                "webhook delivery %s to endpoint %s is given up after %d attempts: %s",
                *(outcome.taken.id, outcome.taken.endpoint.id, outcome.taken.attempts + 1, outcome.answer),
            )

    def _tell_disabled(self, taken: Taken, reason: str) -> None:
        why = "answered 410" if reason == "gone" else "has failed for days"
        logger.error("webhook endpoint %s %s, and is disabled: nothing is sent to it", taken.endpoint.id, why)
        for listener in self._disabled_listeners:
            listener(reason)

    async def close(self) -> None:
        """Send what is due for a moment more, and give the rest back. The loops must not run any more."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.close_within_s):
                    await self._finish_all()
            await self._tasks.close()
            await self._store_finished()
            if self._taken:
                await self._store.give_back(self._taken)
        except LedgerUnavailable as error:
            logger.warning("webhook deliveries are due again after their lease: %s", error)

    async def _finish_all(self) -> None:
        while True:
            await self._tasks.wait()
            stored = await self._store_finished()
            if not stored or not self._store.anything_wanted or not await self._take_some():
                return


def outcome_of(taken: Taken, answered: Answered, at_ms: int) -> Outcome:
    again = RETRY_AFTER_S[taken.attempts] if taken.attempts < len(RETRY_AFTER_S) else None
    return Outcome(
        taken=taken,
        delivered=answered.ok,
        at_ms=at_ms,
        took_ms=answered.took_ms,
        status=answered.status,
        answer=answered.text,
        again_ms=None if answered.ok or again is None else again * 1000,
        gone=answered.gone,
    )
