"""One call of a load test: it is set up by REST, talks, follows its media wherever it goes, and is hung up.

It leaves an `Outcome`. Whatever happens in the middle of it, Ctrl-C included, the server is told to end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError, Refused
from voiceplane.client.events import Ended, read
from voiceplane.loadtest import offer
from voiceplane.loadtest.call_media import CallMedia
from voiceplane.loadtest.engine import Engine, Heard
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.moves import Kill
from voiceplane.loadtest.online_party import OnlineParty, ReceivedEvent
from voiceplane.loadtest.options import Options
from voiceplane.loadtest.outcome import Outcome

EVENT_WITHIN_S = 15.0
ENDS_AT_ONCE = 20


@dataclass
class LoadContext:
    """What all calls of one test share. `over` ends them."""

    options: Options
    admin: Api
    engine: Engine
    capabilities: offer.Json
    over: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: list[Outcome] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    live: set[str] = field(default_factory=set)  # calls between their first request and their end
    talking: set[str] = field(default_factory=set)
    ends: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ENDS_AT_ONCE))


class LoadCall:
    """The call of one pair of parties. Sets `ready` once they talk; ends when the context's `over` is set."""

    def __init__(
        self, call_id: str, context: LoadContext, user: OnlineParty, otomo: OnlineParty, ready: asyncio.Event
    ) -> None:
        self._ready = ready
        self._context = context
        self._parties = (user, otomo)
        self._outcome = Outcome(call_id)
        self._media = CallMedia(call_id, self._parties, context.engine, context.capabilities, context.kills)

    async def run(self) -> None:
        """From its first request to its end."""
        outcome = self._outcome
        self._context.outcomes.append(outcome)
        outcome.opened_at = now()
        try:
            async with self._ended_at_server(outcome.call_id):
                await self._set_up()
                await self._talk()
        except (ClientError, LoadTestError) as error:
            outcome.fail(str(error), now())
        except TimeoutError:
            outcome.fail(f"the server did not tell what happened within {EVENT_WITHIN_S:.0f} s", now())
        finally:
            await self._media.close()
            outcome.moves, outcome.lost_counts = self._media.moves, self._media.lost

    @asynccontextmanager
    async def _followed(self) -> AsyncIterator[None]:
        """The call's media, whatever room it is in, until the block is left."""
        following = asyncio.create_task(self._media.follow(), name=f"{self._outcome.call_id} follows its media")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])

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

    async def _set_up(self) -> None:
        """Everything up to where both may talk."""
        context, (user, otomo), outcome = self._context, self._parties, self._outcome
        await context.admin.open_call(outcome.call_id, user.user_id, otomo.user_id, tariff=context.options.tariff)
        await self._media.set_up()
        outcome.setup_ms = (now() - outcome.opened_at) * 1000

    async def _talk(self) -> None:
        """From the first packet to the last event."""
        outcome = self._outcome
        outcome.began_at = now()
        self._media.talk()
        self._context.talking.add(outcome.call_id)
        self._ready.set()
        ended = asyncio.gather(*self._both_receive("call_end"))
        heard = asyncio.gather(*(receiver.heard for receiver in self._media.receivers))
        begun = asyncio.gather(asyncio.gather(*self._both_receive("call_connected")), heard)
        over = asyncio.create_task(self._context.over.wait(), name=f"{outcome.call_id} waits for the end")
        try:
            async with self._followed():
                first = asyncio.FIRST_COMPLETED
                done, _ = await asyncio.wait((begun, ended), timeout=EVENT_WITHIN_S, return_when=first)
                if not done:
                    raise LoadTestError(f"it was not connected within {EVENT_WITHIN_S:.0f} s of its first packet")
                if begun in done and not begun.cancelled():  # as it is where the first room is lost before
                    self._note_beginning(*begun.result())
                await asyncio.wait((over, ended), return_when=first)
                if not ended.done():
                    await self._media.settled()
            await self._finish(ended)
        finally:
            for one in (over, ended, begun):
                one.cancel()
            await asyncio.gather(over, ended, begun, return_exceptions=True)

    def _both_receive(self, event: str) -> list[asyncio.Future[ReceivedEvent]]:
        return [party.event(event, self._outcome.call_id) for party in self._parties]

    def _note_beginning(self, connected: list[ReceivedEvent], heard: list[Heard]) -> None:
        outcome, moments = self._outcome, [event.at for event in connected]
        outcome.connected_at = min(moments)
        outcome.connected_ms = (max(moments) - outcome.began_at) * 1000
        outcome.first_rtp_ms = max(one.ms for one in heard)

    async def _finish(self, ended: asyncio.Future[list[ReceivedEvent]]) -> None:
        """Count the packets, hang up, and see what was charged."""
        context, outcome = self._context, self._outcome
        async with context.ends:
            outcome.packet_counts = await context.engine.stop(self._media.receivers)
            context.talking.discard(outcome.call_id)
            outcome.hung_up_at = now()
            if not ended.done():
                await self._hang_up()
            outcome.over_at = now()
            async with asyncio.timeout(EVENT_WITHIN_S):
                told, _ = await ended
            end = read(Ended, told.payload, "call_end")
            outcome.end_reason, outcome.duration_s = end.reason, end.duration_seconds
            outcome.ended_at = told.at
            billing = await context.admin.request("GET", f"/calls/{outcome.call_id}/billing")
            outcome.units_charged = len(billing["units"])
            record = await context.admin.request("GET", f"/calls/{outcome.call_id}")
            outcome.silent_s = silent_s(record["interruptions"])

    async def _hang_up(self) -> None:
        """As every client does: again while nobody has the call, because its node has just died."""
        path = f"/calls/{self._outcome.call_id}/end"
        try:
            await self._parties[0].api.patiently("POST", path, for_s=EVENT_WITHIN_S)
        except Refused as error:
            if error.code != "INVALID_CALL_STATE":  # an earlier try has ended it
                raise


def silent_s(interruptions: list[dict[str, Any]]) -> float:
    """For how long the server missed a party that had a room: this machine kept the generator from sending."""
    silences = [one for one in interruptions if one["reason"] == "no_rtp" and one["until"] is not None]
    moments = [[datetime.fromisoformat(one[name]) for name in ("since", "until")] for one in silences]
    return sum((until - since).total_seconds() for since, until in moments)


def now() -> float:
    return asyncio.get_running_loop().time()
