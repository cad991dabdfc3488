"""Two parties who call each other: a call is set up by REST, talks, and is hung up; where need be, another follows.

Each call leaves an `Outcome`. Whatever happens in the middle of one, Ctrl-C included, the server is told to end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.loadtest import offer
from voiceplane.loadtest.engine import Engine, LegHandle
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.online_party import OnlineParty, ReceivedEvent
from voiceplane.loadtest.options import Options
from voiceplane.loadtest.outcome import Outcome
from voiceplane.loadtest.side import Side, both

EVENT_WITHIN_S = 15.0
AGAIN_AFTER_S = 0.5  # a call that died is followed by another, as a caller would
ENDS_AT_ONCE = 20


@dataclass
class LoadContext:
    """What all call loops of one test share. `over` ends them."""

    options: Options
    admin: Api
    engine: Engine
    capabilities: offer.Wire
    over: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: list[Outcome] = field(default_factory=list)
    live: set[str] = field(default_factory=set)  # calls between their first request and their end
    talking: set[str] = field(default_factory=set)
    ends: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ENDS_AT_ONCE))


class CallLoop:
    """The calls of one pair of parties. Sets `ready` once they talk; ends when the context's `over` is set."""

    def __init__(
        self, name: str, context: LoadContext, user: OnlineParty, otomo: OnlineParty, ready: asyncio.Event
    ) -> None:
        self._name = name
        self._ready = ready
        self._context = context
        self._parties = (user, otomo)

    async def run(self) -> None:
        """Make one call; where workers are killed on purpose, make another whenever one has died."""
        count = 0
        while not self._context.over.is_set():
            count += 1
            await self._call(Outcome(f"{self._name}-{count}"))
            if self._context.options.kill_every_s is None:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_AFTER_S):
                    await self._context.over.wait()

    async def _call(self, outcome: Outcome) -> None:
        self._context.outcomes.append(outcome)
        outcome.opened_at = now()
        try:
            async with self._ended_at_server(outcome.call_id), AsyncExitStack() as stack:
                await self._talk(outcome, await self._set_up(outcome, stack))
        except (ClientError, LoadTestError) as error:
            outcome.fail(str(error), now())
        except TimeoutError:
            outcome.fail(f"the server did not tell what happened within {EVENT_WITHIN_S:.0f} s", now())

    @asynccontextmanager
    async def _ended_at_server(self, call_id: str) -> AsyncIterator[None]:
        self._context.live.add(call_id)
        try:
            yield
        except BaseException:
            with suppress(ClientError):  # it may have ended, or never begun
                await self._context.admin.request("POST", f"/admin/calls/{call_id}/end")
            raise
        finally:
            self._context.live.discard(call_id)
            self._context.talking.discard(call_id)
            for party in self._parties:
                party.forget(call_id)

    async def _set_up(self, outcome: Outcome, stack: AsyncExitStack) -> list[LegHandle]:
        """Make the call, up to where both may talk. Returns the legs that receive."""
        context, (user, otomo) = self._context, self._parties
        await context.admin.open_call(outcome.call_id, user.user_id, otomo.user_id, context.options.price)
        sides = [Side(party, outcome.call_id, context.engine, context.capabilities, stack) for party in self._parties]
        receivers = await both(*sides)
        outcome.setup_ms = (now() - outcome.opened_at) * 1000
        return receivers

    async def _talk(self, outcome: Outcome, receivers: list[LegHandle]) -> None:
        """Let both talk: from the first packet to the last event."""
        outcome.began_at = now()
        self._context.engine.talk(receivers)
        self._context.talking.add(outcome.call_id)
        self._ready.set()
        ended = asyncio.gather(*self._both_receive("call_end", outcome))
        begun = asyncio.gather(
            *self._both_receive("call_connected", outcome), *(receiver.heard for receiver in receivers)
        )
        over = asyncio.create_task(self._context.over.wait(), name=f"{outcome.call_id} waits for the end")
        try:
            done, _ = await asyncio.wait((begun, ended), timeout=EVENT_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise LoadTestError(f"it was not connected within {EVENT_WITHIN_S:.0f} s of its first packet")
            if begun in done:
                self._note_beginning(outcome, *begun.result())
                await asyncio.wait((over, ended), return_when=asyncio.FIRST_COMPLETED)
            await self._finish(outcome, receivers, ended)
        finally:
            for one in (over, ended, begun):
                one.cancel()
            await asyncio.gather(over, ended, begun, return_exceptions=True)

    def _both_receive(self, event: str, outcome: Outcome) -> list[asyncio.Future[ReceivedEvent]]:
        return [party.event(event, outcome.call_id) for party in self._parties]

    def _note_beginning(self, outcome: Outcome, first: ReceivedEvent, second: ReceivedEvent, *heard_ms: float) -> None:
        outcome.connected_at = min(first.at, second.at)
        outcome.connected_ms = (max(first.at, second.at) - outcome.began_at) * 1000
        outcome.first_rtp_ms = max(heard_ms)

    async def _finish(
        self, outcome: Outcome, receivers: list[LegHandle], ended: asyncio.Future[list[ReceivedEvent]]
    ) -> None:
        """Count the packets, hang up, and read what was charged."""
        async with self._context.ends:
            outcome.packet_counts = await self._context.engine.stop(receivers)
            self._context.talking.discard(outcome.call_id)
            outcome.hung_up_at = now()
            if not ended.done():
                await self._parties[0].api.request("POST", f"/calls/{outcome.call_id}/end")
            outcome.over_at = now()
            async with asyncio.timeout(EVENT_WITHIN_S):
                told, _ = await ended
            outcome.end_reason = told.payload["reason"]
            outcome.ended_at = told.at
            billing = await self._context.admin.request("GET", f"/calls/{outcome.call_id}/billing")
            outcome.units_charged = len(billing["units"])


def now() -> float:
    return asyncio.get_running_loop().time()
