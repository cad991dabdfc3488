"""The watch over talking calls: once a second it counts packets and ends the calls whose parties are gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app.calls.call import CallEvent, LiveCall
from app.calls.flags import Flag
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.clock import now, shifted
from app.person import Person
from app.tasks import Tasks
from app.watch.audio_faults import faults_of
from app.watch.liveness import LivenessLimits, end_reason_of
from app.watch.sweeper import MAX_PACKETS_PER_SECOND, SWEEP_EVERY_S, Sweeper

SweepListener = Callable[[float], None]
FlagListener = Callable[[LiveCall, Flag], None]

PROVE_EVERY_S = 5.0  # how far the ledger's last proof of life may lag behind, and so what a crash costs an ended_at

logger = logging.getLogger(__name__)


class Watch:
    """Sweeps, judges, and leaves proofs of life in the ledger for the next start."""

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        journal: Journal,
        online: Callable[[Person], bool],
        limits: LivenessLimits,
        max_packets_per_second: float = MAX_PACKETS_PER_SECOND,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._journal = journal
        self._online = online
        self._limits = limits
        self._sweeper = Sweeper(max_packets_per_second)
        self.traffic_of = self._sweeper.traffic_of
        self.on_quality = self._sweeper.on_quality
        self._proving = Tasks()
        self._sweep_listeners: list[SweepListener] = []
        self._flag_listeners: list[FlagListener] = []

    def on_sweep(self, listener: SweepListener) -> None:
        """Call ``listener(seconds)`` after each sweep with what it took, the workers' answers included."""
        self._sweep_listeners.append(listener)

    def on_flag(self, listener: FlagListener) -> None:
        """Call ``listener(call, flag)`` when something is found wrong with a call that goes on."""
        self._flag_listeners.append(listener)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        next_proof = loop.time()
        try:
            while True:
                began = loop.time()
                calls = self._registry.talking()
                await self._sweeper.sweep([*calls, *self._registry.connecting()])
                if calls:
                    self._judge(calls)
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

    def _judge(self, calls: list[LiveCall]) -> None:
        present = now().monotonic
        for call in calls:
            if call.connected_at is None or not call.live:
                continue
            found = end_reason_of(
                call.liveness.values(), call.connected_at.monotonic, present, self._online, self._limits
            )
            if found is not None:
                reason, person = found
                self._lifecycle.end_soon(call, CallEvent.FAIL, reason, f"{reason} at {person}")

    def _update_flags(self, calls: list[LiveCall]) -> None:
        present = now()
        for call in calls:
            for flag in call.flags.update(faults_of(call, present.monotonic), present) if call.live else ():
                logger.info("call %s: %s at %s", call.id, flag.type, flag.party)
                for listener in self._flag_listeners:
                    listener(call, flag)


def proofs(calls: list[LiveCall]) -> dict[str, int]:
    """When each call's last RTP came, in UTC milliseconds."""
    present = now()
    return {call.id: shifted(present, call.last_proof).utc_ms for call in calls if call.last_proof is not None}
