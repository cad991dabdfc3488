"""Draining: the node takes no new calls, and its live calls end by themselves, at a deadline, or at once.

Parties are told of a deadline as soon as there is one, and when it is taken back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from app.calls import call_events
from app.calls.call import EndReason
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.clock import Moment, now, shifted
from app.errors import Draining
from app.ledger.values import CONNECTED_STATES
from app.tasks import Tasks
from schemas.call import CallState
from schemas.node import DrainMode

CHECK_EVERY_S = 0.1

logger = logging.getLogger(__name__)


class Drain:
    """``mode`` is None while the node takes calls. ``wait`` lets every call go on; ``end`` ends at once the calls that
    are not talking yet, and the others too where there is no deadline. ``move`` gives those that are connected to other
    nodes of the cluster. At the deadline, all are ended.

    ``move_calls`` is how calls are moved; a node that is alone moves none.
    """

    move_calls: Callable[[], Awaitable[None]] | None = None

    def __init__(self, registry: Registry, lifecycle: Lifecycle, journal: Journal) -> None:
        self.mode: DrainMode | None = None
        self.deadline: Moment | None = None
        self._registry = registry
        self._lifecycle = lifecycle
        self._journal = journal
        self.leaving = False  # for another process, which goes on with the calls
        self._final = False
        self._told: dict[str, Moment] = {}  # the deadline that a call's parties know, by call
        self._tasks = Tasks()
        self._running: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[bool], None]] = []
        self._freed = asyncio.Event()  # set when somebody's last call has ended
        registry.on_busy(lambda _, busy: None if busy else self._freed.set())

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener(draining)`` when a drain begins or is changed, and when it is taken back."""
        self._listeners.append(listener)

    @property
    def active(self) -> bool:
        return self.mode is not None

    @property
    def live_calls(self) -> int:
        return len(self._registry)

    def begin(self, mode: DrainMode = "wait", deadline_s: float | None = None, *, final: bool = False) -> None:
        """Drain, or change the mode and deadline of the drain under way. A ``final`` drain, of a node that stops, can't
        be changed.

        :param deadline_s: seconds from now.
        Raises Draining where a final one is under way.
        """
        self._halt()
        self._final = final
        self.mode, self.deadline = mode, None if deadline_s is None else after(deadline_s)
        until = f" until {self.deadline.utc:%Y-%m-%dT%H:%M:%SZ}" if self.deadline else ""
        logger.info("draining (%s)%s; live calls: %d", mode, until, self.live_calls)
        self._running = self._tasks.start(self._run(mode, self.deadline), "drain")
        self._notify(draining=True)

    def take_back(self) -> None:
        """Take calls again; calls that are ending end all the same. Raises Draining where the drain is final."""
        self._halt()
        if self.active:
            logger.info("the drain was taken back: new calls are accepted")
        self.mode = self.deadline = None
        self._announce()
        self._notify(draining=False)

    def refuse_calls(self) -> None:
        """Take no calls any more, for good, because the node stops. The caller ends the live ones."""
        self.mode, self._final = self.mode or "end", True

    async def leave(self, within_s: float, cut_short: Coroutine[Any, Any, object]) -> None:
        """Make room for another process: drain for good; what is left goes on there.

        Returns when no call is left, ``within_s`` is over, or ``cut_short`` is done.
        """
        self.leaving = True
        self.begin("move" if self.move_calls is not None else "wait", final=True)
        waiting = {asyncio.create_task(self.over(), name="drained"), asyncio.create_task(cut_short, name="cut short")}
        await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def over(self) -> None:
        """Returns when no call is left."""
        while self.live_calls:
            self._freed.clear()
            await self._freed.wait()

    async def close(self) -> None:
        await self._tasks.close()

    def _notify(self, *, draining: bool) -> None:
        for listener in self._listeners:
            listener(draining)

    def _halt(self) -> None:
        if self._final:
            raise Draining("the node stops")
        if self._running is not None:
            self._running.cancel()

    async def _run(self, mode: DrainMode, deadline: Moment | None) -> None:
        if mode == "end":
            self._end(everybody=deadline is None)
        self._announce()
        if mode == "move" and self.move_calls is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline.monotonic - now().monotonic if deadline else None):
                    await self.move_calls()
        if deadline is None:
            return
        while now().monotonic < deadline.monotonic:
            await asyncio.sleep(CHECK_EVERY_S)
            self._announce()
        self._end(everybody=True)

    def _end(self, *, everybody: bool) -> None:
        for call in self._registry:
            if everybody or call.state not in CONNECTED_STATES:
                self._lifecycle.end_for(call, EndReason.SYSTEM_ERROR, "the node is drained")

    def _announce(self) -> None:
        """Tell the deadline to the parties of all calls that know another one, or none; of a call that is not stored
        yet, later."""
        told: dict[str, Moment] = {}
        for call in self._registry:
            if call.live and call.state is not CallState.REQUESTING:
                if self._told.get(call.id) != self.deadline:
                    for event in call_events.node_draining(call, self.deadline):
                        self._journal.append(event)
                if self.deadline is not None:
                    told[call.id] = self.deadline
        self._told = told


def after(seconds: float) -> Moment:
    present = now()
    return shifted(present, present.monotonic + seconds)
