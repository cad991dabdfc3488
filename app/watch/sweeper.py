"""Counts packets: once a second, a sweep asks each worker, in one write, how many packets its calls' producers
received. Before a call is connected, a worker is asked only where a producer was paused: of others it tells the first
packet by itself.

Every fifth sweep of a call also reads its listeners' reports. In silence and with DTX there are still packets, and a
paused producer may still receive some; where a party has muted everything, its transports' bytes are counted instead.
Not used: the worker's score, which does not fall when a single audio stream stops; ICE consent, which takes half a
minute (RFC 7675 §5.1); and states of transports, which tell the past.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakKeyDictionary

from app.calls.call import LiveCall, PartyLiveness
from app.media.packet_rate import WINDOW_S, PacketRate, most_packets
from app.media.party_objects import PartyConsumer, PartyProducer, PartyTransport
from app.media.quality import Quality
from app.media.room import Room
from app.media.stats import stream_stats_of
from app.media.traffic import Traffic
from app.tasks import Tasks
from worker_bridge.channel import Body, Channel
from worker_bridge.errors import BridgeError
from worker_bridge.stats import packet_count

SWEEP_EVERY_S = 1.0
ANSWER_WITHIN_S = 0.5  # how long a sweep waits for the slowest worker
PROVE_WITHIN_S = 0.2  # how long somebody is looked for at the very moment at which a call ends
PROVE_EVERY_S = 0.03  # a packet comes every 20 ms
FRESH_S = 2.5 * SWEEP_EVERY_S  # between two counts: growth over a longer time says nothing about now
MAX_PACKETS_PER_SECOND = 200  # of sound: four times a packet each 20 ms

QualityListener = Callable[[Quality], None]

logger = logging.getLogger(__name__)


class CountedProducer(NamedTuple):
    """A producer whose packets are counted, its party and room, and whether its quality is measured, too."""

    liveness: PartyLiveness
    owned: PartyProducer
    room: Room
    listeners: int
    due: bool


@dataclass(slots=True)
class SweepRequest:
    """What one sweep asks of one worker. In ``due`` calls the quality is measured, too, for which consumers are asked;
    ``transports`` are those of muted parties."""

    producers: list[CountedProducer] = field(default_factory=list)
    transports: list[tuple[PartyLiveness, PartyTransport]] = field(default_factory=list)
    consumers: list[PartyConsumer] = field(default_factory=list)
    due: list[LiveCall] = field(default_factory=list)

    def messages(self) -> list[tuple[str, str]]:
        return [
            *(("PRODUCER_GET_STATS", one.owned.producer.id) for one in self.producers),
            *(("TRANSPORT_GET_STATS", sending.transport.id) for _, sending in self.transports),
            *(("CONSUMER_GET_STATS", listening.consumer.id) for listening in self.consumers),
        ]


class Sweeper:
    """Keeps the parties' proofs of life up to date, and pauses producers that flood."""

    def __init__(
        self, max_packets_per_second: float = MAX_PACKETS_PER_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``max_packets_per_second`` is for one producer of sound; 0 is no limit."""
        self._max_packets_per_second = max_packets_per_second
        self._clock = clock
        self._counting: dict[Channel, asyncio.Task[None]] = {}
        self._traffic: WeakKeyDictionary[Channel, Traffic] = WeakKeyDictionary()
        self._tasks = Tasks()
        self._quality_listeners: list[QualityListener] = []

    def on_quality(self, listener: QualityListener) -> None:
        """Call ``listener(quality)`` with each direction's quality, every few seconds of a call; it must be quick."""
        self._quality_listeners.append(listener)

    async def sweep(self, calls: Iterable[LiveCall]) -> None:
        """Ask all workers at once, and wait a moment for their answers: one that hangs delays no other worker's calls.

        A late answer counts when it comes, and its worker is not asked again before. A worker that does not answer
        proves nothing; the pool watches over it.
        """
        requests: defaultdict[Channel, SweepRequest] = defaultdict(SweepRequest)
        for call in calls:
            if call.room is not None:
                self._check_networks(call, call.room)
                self._ask_about(call, call.room, requests[call.room.channel])
        self._counting = {channel: task for channel, task in self._counting.items() if not task.done()}
        for channel, request in requests.items():
            if channel not in self._counting and (request.producers or request.consumers):
                self._counting[channel] = self._tasks.start(self._count(channel, request), "packets are counted")
        if self._counting:
            await asyncio.wait(self._counting.values(), timeout=ANSWER_WITHIN_S)

    async def prove(self, call: LiveCall, at: float) -> None:
        """Count a call's packets between two sweeps, until both parties are proven to be there at a monotonic time that
        has just come; but not for long: who is silent then is proven by a later sweep, or not at all."""
        try:
            async with asyncio.timeout(PROVE_WITHIN_S):
                while call.room is not None and not call.were_there(at):
                    request = SweepRequest()
                    self._ask_about(call, call.room, request, quality=False)
                    await self._count(call.room.channel, request)
                    await asyncio.sleep(PROVE_EVERY_S)
        except TimeoutError:
            pass  # one of them is silent

    def traffic_of(self, channel: Channel) -> Traffic:
        """The traffic of a worker, kept up to date by the sweeps."""
        return self._traffic.setdefault(channel, Traffic())

    async def close(self) -> None:
        """Cancel what still waits for an answer."""
        await self._tasks.close()

    def _ask_about(self, call: LiveCall, room: Room, request: SweepRequest, *, quality: bool = True) -> None:
        if call.connected_at is None and not room.has_paused:
            return
        due = quality and call.quality.is_due()
        if due:
            request.due.append(call)
            request.consumers += room.consumers.values()
        muted = False
        for owned in room.producers.values():
            muted = muted or owned.muted
            if call.connected_at is None and not (owned.producer.paused or owned.packets):
                continue
            request.producers.append(
                CountedProducer(call.liveness[owned.party], owned, room, room.listeners(owned), due)
            )
        for party, liveness in call.liveness.items() if muted else ():
            if room.is_muted(party):
                mine = (one for one in room.transports.values() if one.party == party and one.direction == "send")
                request.transports += ((liveness, one) for one in mine)

    async def _count(self, channel: Channel, request: SweepRequest) -> None:
        asked_at = self._clock()
        try:
            answers = channel.request_all(request.messages())
        except BridgeError as error:
            logger.debug("packets could not be counted: %s", error)
            return
        await asyncio.wait(answers)
        traffic, producers, transports = self.traffic_of(channel), len(request.producers), len(request.transports)
        self._take_counts(request.producers, answers[:producers], traffic, asked_at)
        self._take_bytes(request.transports, answers[producers : producers + transports], asked_at)
        for listening, answer in zip(request.consumers, answers[producers + transports :], strict=True):
            if answer.exception() is None:  # else it closed meanwhile
                listening.stats = stream_stats_of(answer.result(), "SendStats")
        for call in request.due:
            self._measure_quality(call, traffic)

    def _take_counts(
        self,
        producers: Sequence[CountedProducer],
        answers: Sequence[asyncio.Future[Body]],
        traffic: Traffic,
        asked_at: float,
    ) -> None:
        """Packets that had come by ``asked_at`` are a proof of that time, however late the answer."""
        now = traffic.counted_at = self._clock()
        for (liveness, owned, room, listeners, due), answer in zip(producers, answers, strict=True):
            if answer.exception() is not None:  # closed meanwhile
                continue
            if due:
                owned.stats = stream_stats_of(answer.result(), "RecvStats")
            count = packet_count(answer.result())
            if not owned.packets or owned.rate is None:  # perhaps it was never counted before
                owned.rate = PacketRate(max(owned.since, now - WINDOW_S))
            grown = count - owned.packets
            if grown > 0:
                traffic.received += grown
                traffic.forwarded += grown * listeners
                if owned.producer.paused and liveness.last_rtp is None:
                    room.heard_while_paused(owned)
                liveness.prove(asked_at)
                liveness.last_rtp = owned.last_rtp = asked_at
            owned.packets = count
            self._check_flood(owned, room, owned.rate.after(count, now), now)

    def _take_bytes(
        self,
        transports: Sequence[tuple[PartyLiveness, PartyTransport]],
        answers: Sequence[asyncio.Future[Body]],
        asked_at: float,
    ) -> None:
        for (liveness, sending), answer in zip(transports, answers, strict=True):
            if answer.exception() is not None:
                continue
            received = answer.result()["base"]["bytes_received"]
            if received > sending.bytes_received and asked_at - sending.counted_at < FRESH_S:  # else it is unknown when
                liveness.prove(asked_at)
            sending.bytes_received, sending.counted_at = received, asked_at

    def _check_flood(self, owned: PartyProducer, room: Room, rate: float | None, now: float) -> None:
        limit = most_packets(owned.producer.kind, self._max_packets_per_second)
        if rate is None or not limit:
            return
        if rate <= limit:
            owned.flooding_since = None
            return
        if owned.flooding_since is None:
            owned.flooding_since = now
            logger.warning("call %s: %.0f packets a second of the %s", room.call_id, rate, owned.party)
        if not owned.producer.paused:
            self._tasks.start(room.stop_flood(owned), f"a flood of the {owned.party} in {room.call_id} is stopped")

    def _measure_quality(self, call: LiveCall, traffic: Traffic) -> None:
        if call.room is None:
            return
        for quality in call.quality.measure(call.room):
            traffic.expected += quality.expected
            traffic.lost += quality.lost
            for listener in self._quality_listeners:
                listener(quality)

    def _check_networks(self, call: LiveCall, room: Room) -> None:
        """Note since when the network of each party is down."""
        down = {one.party for one in room.transports.values() if one.dead}
        for party, liveness in call.liveness.items():
            if party not in down:
                liveness.bad_since = None
            elif liveness.bad_since is None:
                liveness.bad_since = self._clock()
