"""The watch over connected calls. Once a second it counts packets, interrupts calls in which a party is away, resumes
those whose parties are both back, and ends those that have waited too long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.calls.call import CallEvent, LiveCall
from app.calls.continuity import Continuity, talked_until
from app.calls.flags import Flag
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.calls.timers import CallTimers
from app.clock import Moment, now
from app.ledger.recovery import Alive
from app.person import Person
from app.tasks import Tasks
from app.watch.audio_faults import faults_of
from app.watch.liveness import end_reason_of, silent_party
from app.watch.sweeper import SWEEP_EVERY_S, Sweeper
from schemas.call import CallState

SweepListener = Callable[[float], None]
FlagListener = Callable[[LiveCall, Flag], None]

STOOD_STILL_S = 2 * SWEEP_EVERY_S  # between two sweeps: the node, or the whole machine, stood still
PROVE_EVERY_S = 2.0  # how far a call's stored clock may lag behind, which is the loss in a crash

logger = logging.getLogger(__name__)


class Watch:
    """Sweeps, judges, and stores proofs of life for the next start."""

    def __init__(
        self,
        sweeper: Sweeper,
        registry: Registry,
        lifecycle: Lifecycle,
        continuity: Continuity,
        journal: Journal,
        online: Callable[[Person], Awaitable[bool]],
        timers: CallTimers,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._continuity = continuity
        self._journal = journal
        self._online = online
        self._timers = timers
        self._sweeper = sweeper
        self.on_quality = sweeper.on_quality
        self._proving = Tasks()
        self._sweep_listeners: list[SweepListener] = []
        self._flag_listeners: list[FlagListener] = []

    def on_sweep(self, listener: SweepListener) -> None:
        """Call ``listener(seconds)`` after each sweep with its duration, the workers' answers included."""
        self._sweep_listeners.append(listener)

    def on_flag(self, listener: FlagListener) -> None:
        """Call ``listener(call, flag)`` when something is found wrong with a call."""
        self._flag_listeners.append(listener)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        next_proof = swept_at = loop.time()
        try:
            while True:
                began = loop.time()
                calls = self._registry.connected()
                if (
                    began - swept_at > STOOD_STILL_S
                ):  # in that time nobody was proven to be there, whatever is counted now
                    self._find_silent(calls)
                swept_at = began
                await self._sweeper.sweep([*calls, *self._registry.connecting()])
                if calls:
                    self._find_silent(calls)
                    await self._judge_interrupted(calls)
                    self._update_flags(calls)
                    for listener in self._sweep_listeners:
                        listener(loop.time() - began)
                if calls and began >= next_proof:
                    next_proof = began + PROVE_EVERY_S
                    self._proving.start(self._journal.prove_alive(proofs(calls)), "proofs of life")
                await asyncio.sleep(max(0.0, began + SWEEP_EVERY_S - loop.time()))
        finally:
            await self._proving.close()
            await self._sweeper.close()

    def _find_silent(self, calls: list[LiveCall]) -> None:
        at, after_s = now().monotonic, self._timers.interrupted_after_s
        for call in calls:
            if call.state is CallState.TALKING and (party := silent_party(call, at, after_s)) is not None:
                self._continuity.interrupt(call, party)

    async def _judge_interrupted(self, calls: list[LiveCall]) -> None:
        present = now()
        for call in calls:
            interruption = call.interruption
            if call.state is not CallState.INTERRUPTED or interruption is None or self._continuity.proven(call):
                continue
            if present.monotonic >= interruption.until.monotonic:
                await self._give_up(call, present)

    async def _give_up(self, call: LiveCall, present: Moment) -> None:
        after_s = self._timers.interrupted_after_s
        online = {party.person for party in call.liveness.values() if await self._online(party.person)}
        if call.state is not CallState.INTERRUPTED:  # that has taken a moment
            return
        reason, person = end_reason_of(call, present.monotonic, online, after_s)
        cause = f"{reason} at {person}" if person is not None else reason.value
        self._lifecycle.end_soon(call, CallEvent.FAIL, reason, cause, at=call.proven_until(present))

    def _update_flags(self, calls: list[LiveCall]) -> None:
        present = now()
        for call in calls:
            for flag in call.flags.update(faults_of(call, present.monotonic), present) if call.live else ():
                logger.info("call %s: %s at %s", call.id, flag.type, flag.party)
                for listener in self._flag_listeners:
                    listener(call, flag)


def proofs(calls: list[LiveCall]) -> Alive:
    """How long the parties of each call have talked, as far as it is proven."""
    present = now()
    return {(call.id, call.epoch): talked_until(call, call.proven_until(present)) for call in calls if call.clock.runs}
