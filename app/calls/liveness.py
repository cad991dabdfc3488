"""Who is there: packets counted by sweeps, and the rules that follow from what was counted.

One sweep a second asks each worker, in one write, how many packets the producers of its talking calls have received;
every fifth of a call also asks what its listeners report. Silence and DTX still send packets. The worker's score does
not fall when a single audio stream stops, and ICE consent takes half a minute (RFC 7675 §5.1): neither is asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from app.calls.call import EndReason, LiveCall, PartyLife
from app.calls.quality import Quality
from app.calls.reading import reading
from app.calls.room import PartyConsumer, PartyProducer
from app.calls.tasks import Tasks
from app.calls.traffic import Traffic
from app.person import Person
from worker_bridge.channel import Body, Channel
from worker_bridge.errors import BridgeError
from worker_bridge.stats import packet_count

SWEEP_EVERY_S = 1.0
ANSWER_WITHIN_S = 0.5  # how long a sweep waits for the slowest worker
NEVER_SENT_AFTER_S = 30.0  # how long a party may take to its first packet once the other one talks

QualityListener = Callable[[Quality], None]
Asked = tuple[PartyLife, PartyProducer, int, bool]
"""A producer whose packets are counted, whose it is, how many listen to it, and whether its quality is looked at."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LifeLimits:
    """Seconds. ``grace_s`` is for a party whose socket or network is gone; the first two are for any party."""

    rtp_stopped_after_s: float = 10.0
    never_sent_after_s: float = NEVER_SENT_AFTER_S
    grace_s: float = 5.0


def verdict(
    lives: Iterable[PartyLife], connected_at: float, now: float, online: Callable[[Person], bool], limits: LifeLimits
) -> tuple[EndReason, Person] | None:
    """Why a talking call has to end now, and by whom; None while it need not. The first rule that holds wins.

    1. a party's last RTP is too old, or it never sent any: ``rtp_stopped``
    2. it has no socket, had one, and its last RTP is older than the grace: ``disconnect``
    3. its DTLS or ICE has been down for the grace, and its last RTP is as old: ``network_failed``
    """
    parties = list(lives)
    for life in parties:
        limit = limits.never_sent_after_s if life.last_rtp is None else limits.rtp_stopped_after_s
        if silent_for(life, connected_at, now) > limit:
            return EndReason.RTP_STOPPED, life.person
    quiet = [life for life in parties if silent_for(life, connected_at, now) > limits.grace_s]
    for life in quiet:
        if life.had_socket and not online(life.person):
            return EndReason.DISCONNECT, life.person
    for life in quiet:
        if life.bad_since is not None and now - life.bad_since >= limits.grace_s:
            return EndReason.NETWORK_FAILED, life.person
    return None


def silent_for(life: PartyLife, connected_at: float, now: float) -> float:
    """Seconds since the party's last RTP, or since the connection where it never sent any."""
    return now - (connected_at if life.last_rtp is None else life.last_rtp)


def both_alive(call: LiveCall, at: float, within_s: float) -> bool:
    """Whether each party's last RTP is that close to a moment: what a unit is charged for. A proof from long after is
    none, as when the machine slept in between."""
    return all(life.last_rtp is not None and abs(at - life.last_rtp) <= within_s for life in call.lives.values())


@dataclass(slots=True)
class Round:
    """What one sweep asks of one worker. Of ``due`` calls the quality is looked at, for which listeners are asked."""

    producers: list[Asked] = field(default_factory=list)
    consumers: list[PartyConsumer] = field(default_factory=list)
    due: list[LiveCall] = field(default_factory=list)

    def requests(self) -> list[tuple[str, str]]:
        counted = [("PRODUCER_GET_STATS", owned.producer.id) for _, owned, _, _ in self.producers]
        return counted + [("CONSUMER_GET_STATS", owned.consumer.id) for owned in self.consumers]


class Sweeper:
    """Keeps the proofs of life of the talking calls up to date."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counting: dict[Channel, asyncio.Task[None]] = {}
        self._traffic: WeakKeyDictionary[Channel, Traffic] = WeakKeyDictionary()
        self._tasks = Tasks()
        self._quality_listeners: list[QualityListener] = []

    def on_quality(self, listener: QualityListener) -> None:
        """Call ``listener(quality)`` with what a direction of a call was like, every few seconds; it must be quick."""
        self._quality_listeners.append(listener)

    async def sweep(self, calls: Iterable[LiveCall]) -> None:
        """Ask all workers at once, and give them a moment to answer: one that hangs holds up no other one's calls.

        A late answer counts when it comes, and nobody is asked again before. A worker that does not answer proves
        nothing, and has its own watch.
        """
        rounds: defaultdict[Channel, Round] = defaultdict(Round)
        for call in calls:
            room = call.room
            if room is None:
                continue
            self._look_at_transports(call)
            asked = rounds[room.channel]
            due = call.quality.is_due()
            if due:
                asked.due.append(call)
                asked.consumers += room.consumers.values()
            for owned in room.producers.values():
                life = call.lives[owned.party]
                if not owned.producer.paused:
                    asked.producers.append((life, owned, room.listeners(owned), due))
                elif room.sends_connected(owned):
                    life.last_rtp = self._clock()
        self._counting = {channel: task for channel, task in self._counting.items() if not task.done()}
        for channel, asked in rounds.items():
            if channel not in self._counting and (asked.producers or asked.consumers):
                self._counting[channel] = self._tasks.start(self._count(channel, asked), "packets are counted")
        if self._counting:
            await asyncio.wait(self._counting.values(), timeout=ANSWER_WITHIN_S)

    def traffic_of(self, channel: Channel) -> Traffic:
        """What goes through that worker, kept up to date by the sweeps."""
        return self._traffic.setdefault(channel, Traffic())

    async def close(self) -> None:
        """Wait for no answer any more."""
        await self._tasks.close()

    async def _count(self, channel: Channel, asked: Round) -> None:
        try:
            answers = channel.request_all(asked.requests())
        except BridgeError as error:
            logger.debug("not counted: %s", error)
            return
        await asyncio.wait(answers)
        traffic, counted = self.traffic_of(channel), len(asked.producers)
        self._take_counts(asked.producers, answers[:counted], traffic)
        for listening, answer in zip(asked.consumers, answers[counted:], strict=True):
            if answer.exception() is None:  # else it closed meanwhile
                listening.reading = reading(answer.result(), "SendStats")
        for call in asked.due:
            self._look_at_quality(call, traffic)

    def _take_counts(self, producers: list[Asked], answers: list[asyncio.Future[Body]], traffic: Traffic) -> None:
        now = traffic.counted_at = self._clock()
        for (life, owned, listeners, due), answer in zip(producers, answers, strict=True):
            if answer.exception() is not None:  # closed meanwhile
                continue
            if due:
                owned.reading = reading(answer.result(), "RecvStats")
            count = packet_count(answer.result())
            grown = count - life.counts.get(owned.producer.id, 0)
            if grown > 0:
                life.last_rtp = owned.last_rtp = now
                traffic.received += grown
                traffic.forwarded += grown * listeners
            life.counts[owned.producer.id] = count

    def _look_at_quality(self, call: LiveCall, traffic: Traffic) -> None:
        if call.room is None:
            return
        for quality in call.quality.look(call.room):
            traffic.expected += quality.expected
            traffic.lost += quality.lost
            for listener in self._quality_listeners:
                listener(quality)

    def _look_at_transports(self, call: LiveCall) -> None:
        """Note since when a party's network is down."""
        if call.room is None:
            return
        down = {one.party for one in call.room.transports.values() if one.dead}
        for party, life in call.lives.items():
            if party not in down:
                life.bad_since = None
            elif life.bad_since is None:
                life.bad_since = self._clock()
