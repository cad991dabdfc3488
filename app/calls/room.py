"""A call's media side: one router, and each party's transports, producers and consumers.

Asks who may do what to which object; knows no HTTP, no money and no state of the call.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from app.calls.clock import at_worker_time
from app.calls.microphones import Microphones
from app.calls.reading import Reading
from app.calls.room_watcher import ProducerNews, RoomWatcher
from app.errors import (
    AlreadyConnected,
    AlreadyResumed,
    BadRequest,
    CannotConsume,
    ConsumerNotFound,
    Forbidden,
    ProducerAlreadyExists,
    ProducerNotFound,
    TransportLimitExceeded,
    TransportNotFound,
)
from app.person import Parties, PartyRole, Person
from schemas.consumer import ConsumeRequest
from schemas.producer import ProduceRequest
from worker_bridge.channel import Body, Channel
from worker_bridge.connectivity import DtlsParameters, IceParameters
from worker_bridge.consumer import Consumer
from worker_bridge.errors import InvalidParameters, NotFound, RequestRefused, Unsupported
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp import MediaKind, RtpCapabilities, RtpParameters
from worker_bridge.transport import Transport
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.webrtc_transport import WebRtcTransport

Direction = Literal["send", "recv"]
DEAD_DTLS = frozenset({"failed", "closed"})
DEAD_ICE = frozenset({"disconnected", "closed"})


class Released(NamedTuple):
    """How many objects were open, and are no more."""

    transports: int
    producers: int
    consumers: int


@dataclass(frozen=True, slots=True)
class RoomLimits:
    transports_per_direction: int
    producers_per_party: int


@dataclass(slots=True, eq=False)
class PartyTransport:
    """A transport, whose it is, which way it goes, and whether its RTC-03 has come (and was not refused)."""

    transport: WebRtcTransport
    party: PartyRole
    direction: Direction
    connecting: bool = False

    @property
    def dead(self) -> bool:
        transport = self.transport
        return transport.closed or transport.dtls_state in DEAD_DTLS or transport.ice_state in DEAD_ICE


RetryKey = tuple[str, MediaKind, str | None, int | str | None]
"""Transport, kind, MID, and the first SSRC or RID: two requests that differ in these are not the same request, and of
those that do not the worker takes one only."""


@dataclass(slots=True, eq=False)
class PartyProducer:
    """A producer, whose it is, and the request that made it: the same again is a retry."""

    producer: Producer
    party: PartyRole
    requested: RtpParameters
    key: RetryKey
    reading: Reading | None = None  # what was last asked of it
    last_rtp: float | None = None  # monotonic seconds


@dataclass(slots=True, eq=False)
class PartyConsumer:
    consumer: Consumer
    party: PartyRole
    capabilities: RtpCapabilities
    transport_id: str
    reading: Reading | None = None


@dataclass(slots=True, eq=False)
class Party:
    """One of the two. Its lock makes the checks of a request and what follows from them one step."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    producers: dict[RetryKey, PartyProducer] = field(default_factory=dict)
    consumers: dict[tuple[str, str], PartyConsumer] = field(default_factory=dict)  # by transport and producer
    sending: Counter[MediaKind] = field(default_factory=Counter)


class Room:
    """``watcher`` is told of everything from when it is set."""

    watcher: RoomWatcher | None = None

    def __init__(
        self,
        call_id: str,
        parties: Parties,
        router: Router,
        channel: Channel,
        webrtc_server: WebRtcServer,
        limits: RoomLimits,
        index: MutableMapping[str, Room],
        worker_index: int = 0,
    ) -> None:
        """``index`` finds the room by the id of anything in it; ``channel`` and ``worker_index`` are its worker's."""
        self.call_id = call_id
        self.router = router
        self.channel = channel
        self.worker_index = worker_index
        self.microphones = Microphones(router)
        self.transports: dict[str, PartyTransport] = {}
        self.producers: dict[str, PartyProducer] = {}
        self.consumers: dict[str, PartyConsumer] = {}
        self.parties = parties
        self._sides: dict[PartyRole, Party] = {"user": Party(), "otomo": Party()}
        self._webrtc_server = webrtc_server
        self._limits = limits
        self._index = index
        # Bound once, for all producers, and let go of when the router closes: else each holds two methods of its own.
        self._on_producer_closed = self._producer_closed
        self._on_first_packet = self._first_packet
        router.on_closed(self._router_closed)

    def __repr__(self) -> str:
        return f"<Room {self.call_id} on {self.router!r}>"

    def role_of(self, person: Person) -> PartyRole:
        """As which party somebody acts in here. Raises Forbidden for everybody else, admins too."""
        role = self.parties.role_of(person)
        if role is None:
            raise Forbidden(f"{person} is no party of call {self.call_id}")
        return role

    def close(self) -> Released:
        """Close everything in it, at once."""
        released = Released(len(self.transports), len(self.producers), len(self.consumers))
        self.router.close()
        return released

    # transports

    async def create_transport(self, party: PartyRole, direction: Direction) -> WebRtcTransport:
        """TransportLimitExceeded where all of that direction are in use; a dead one is replaced."""
        async with self._sides[party].lock:
            mine = [one for one in self.transports.values() if (one.party, one.direction) == (party, direction)]
            dead = [one for one in mine if one.dead]
            if len(mine) - len(dead) >= self._limits.transports_per_direction:
                raise TransportLimitExceeded(f"{party} has {len(mine)} {direction} transports in {self.call_id}")
            for one in dead:
                one.transport.close()
            transport = await self.router.create_webrtc_transport(self._webrtc_server, prefer_udp=True)
            self.transports[transport.id] = PartyTransport(transport, party, direction)
            self._index[transport.id] = self
            transport.on_closed(self._transport_closed)
        if self.watcher is not None:
            self.watcher.set_up()
        return transport

    async def connect(self, party: PartyRole, transport_id: str, dtls_parameters: DtlsParameters) -> None:
        """Once per transport: AlreadyConnected after it. A connect that the worker refused leaves it connectable."""
        mine = self.transport_of(party, transport_id)
        if mine.connecting:
            raise AlreadyConnected(transport_id)
        mine.connecting = True
        try:
            await mine.transport.connect(dtls_parameters)
        except RequestRefused as error:
            mine.connecting = False
            raise BadRequest.at("dtlsParameters", error.reason) from error
        except BaseException:
            mine.connecting = False
            raise

    async def restart_ice(self, party: PartyRole, transport_id: str) -> IceParameters:
        return await self.transport_of(party, transport_id).transport.restart_ice()

    def close_transport(self, party: PartyRole, transport_id: str) -> None:
        self.transport_of(party, transport_id).transport.close()

    def transport_of(self, party: PartyRole, transport_id: str, direction: Direction | None = None) -> PartyTransport:
        """The party's own transport; TransportNotFound for anybody else's, or one of the other direction."""
        found = self.transports.get(transport_id)
        if found is None or found.party != party or direction not in (None, found.direction):
            raise TransportNotFound(transport_id, which=direction)
        return found

    # producers

    async def produce(self, party: PartyRole, request: ProduceRequest) -> Producer:
        """The party's new producer, or the one that the same request made before; ProducerAlreadyExists for another."""
        mine = self._sides[party]
        async with mine.lock:
            sender = self.transport_of(party, request.transport_id, "send")
            key = _retry_key(request)
            before = mine.producers.get(key)
            if before is not None and before.requested == request.rtp_parameters:
                return before.producer
            if mine.sending[request.kind] >= self._limits.producers_per_party:
                raise ProducerAlreadyExists(f"{party} sends {request.kind} in {self.call_id}")
            producer = await self._produce(sender.transport, request)
            owned = PartyProducer(producer, party, request.rtp_parameters, key)
            mine.producers[key] = self.producers[producer.id] = owned
            mine.sending[request.kind] += 1
            self._index[producer.id] = self
            producer.on_closed(self._on_producer_closed)
        self._tell("producer_added", party, producer)
        return producer

    async def set_producer_paused(self, party: PartyRole, producer_id: str, paused: bool) -> None:
        """Mute or unmute on the server. Saying it twice changes nothing."""
        async with self._sides[party].lock:
            producer = self.producer_of(party, producer_id).producer
            if producer.paused == paused:
                return
            await (producer.pause() if paused else producer.resume())
        self._tell("producer_paused" if paused else "producer_resumed", party, producer)

    def close_producer(self, party: PartyRole, producer_id: str) -> None:
        self.producer_of(party, producer_id).producer.close()

    def producer_of(self, party: PartyRole, producer_id: str) -> PartyProducer:
        found = self.producers.get(producer_id)
        if found is None or found.party != party:
            raise ProducerNotFound(producer_id)
        return found

    def sends_connected(self, owned: PartyProducer) -> bool:
        """Whether the producer's transport is up: all that a paused one can show."""
        sender = self.transports.get(owned.key[0])
        return sender is not None and sender.transport.connected

    def listeners(self, owned: PartyProducer) -> int:
        """How many consumers its packets go to now."""
        producer_id, found = owned.producer.id, 0
        for one in self.consumers.values():  # a loop, because every sweep asks it of every producer
            if one.consumer.producer_id == producer_id and not one.consumer.paused:
                found += 1
        return found

    # consumers

    async def consume(self, party: PartyRole, request: ConsumeRequest) -> Consumer:
        """The other party's producer on the party's own receive transport, paused until it is resumed.

        The same request again answers the same consumer; other capabilities replace it. ProducerNotFound for a producer
        that is not the other party's; CannotConsume where no codec matches.
        """
        mine = self._sides[party]
        async with mine.lock:
            receiver = self.transport_of(party, request.transport_id, "recv").transport
            source = self.producers.get(request.producer_id)
            if source is None or source.party == party:
                raise ProducerNotFound(request.producer_id)
            capabilities = request.rtp_capabilities or self.router.rtp_capabilities
            key = (receiver.id, request.producer_id)
            before = mine.consumers.get(key)
            if before is not None and before.capabilities == capabilities:
                return before.consumer
            if not self.router.can_consume(request.producer_id, capabilities):
                raise CannotConsume(request.producer_id)
            if before is not None:
                before.consumer.close()
            try:
                consumer = await receiver.consume(request.producer_id, capabilities, paused=True)
            except NotFound as error:  # it closed a moment ago
                raise ProducerNotFound(request.producer_id) from error
            owned = PartyConsumer(consumer, party, capabilities, receiver.id)
            mine.consumers[key] = self.consumers[consumer.id] = owned
            self._index[consumer.id] = self
            consumer.on_closed(self._consumer_closed)
            return consumer

    async def resume_consumer(self, party: PartyRole, consumer_id: str) -> None:
        async with self._sides[party].lock:
            consumer = self.consumer_of(party, consumer_id).consumer
            if not consumer.paused:
                raise AlreadyResumed(consumer_id)
            with unless_gone(consumer_id):
                await consumer.resume()

    async def pause_consumer(self, party: PartyRole, consumer_id: str) -> None:
        async with self._sides[party].lock:
            consumer = self.consumer_of(party, consumer_id).consumer
            if not consumer.paused:
                with unless_gone(consumer_id):
                    await consumer.pause()

    def consumer_of(self, party: PartyRole, consumer_id: str) -> PartyConsumer:
        found = self.consumers.get(consumer_id)
        if found is None or found.party != party:
            raise ConsumerNotFound(consumer_id)
        return found

    def receives(self, owned: PartyConsumer) -> bool:
        """Whether what it is sent can get to its party."""
        receiver = self.transports.get(owned.transport_id)
        return not owned.consumer.paused and receiver is not None and receiver.transport.connected

    # inside

    async def _produce(self, transport: WebRtcTransport, request: ProduceRequest) -> Producer:
        """Produce, with the worker tracing RTP until the first packet has come."""
        try:
            producer = await transport.produce(request.kind, request.rtp_parameters, traces=("rtp",))
        except RequestRefused as error:
            raise BadRequest.at("rtpParameters", error.reason) from error
        except (InvalidParameters, Unsupported) as error:
            raise BadRequest.within("rtpParameters", error) from error
        producer.on_trace(self._on_first_packet)
        return producer

    def _first_packet(self, producer: Producer, _: str, trace: Body) -> None:
        producer.stop_tracing()
        moment = at_worker_time(trace["timestamp"])
        owned = self.producers.get(producer.id)
        if owned is not None and self.watcher is not None:
            self.watcher.first_packet(owned.party, producer, moment)

    def _tell(self, news: ProducerNews, party: PartyRole, producer: Producer) -> None:
        if self.watcher is not None:
            self.watcher.producer_changed(news, party, producer)

    def _transport_closed(self, transport: Transport) -> None:
        self.transports.pop(transport.id, None)
        self._index.pop(transport.id, None)

    def _producer_closed(self, producer: Producer) -> None:
        owned = self.producers.pop(producer.id)
        mine = self._sides[owned.party]
        self._index.pop(producer.id, None)
        mine.producers.pop(owned.key, None)
        mine.sending[producer.kind] -= 1
        if not self.router.closed:
            self._tell("producer_removed", owned.party, producer)

    def _consumer_closed(self, consumer: Consumer) -> None:
        owned = self.consumers.pop(consumer.id)
        self._index.pop(consumer.id, None)
        self._sides[owned.party].consumers.pop((owned.transport_id, consumer.producer_id), None)

    def _router_closed(self, router: Router) -> None:
        del self._on_producer_closed, self._on_first_packet
        watcher, self.watcher = self.watcher, None  # it leads to the call, and the call to us
        if watcher is not None and router.close_reason is not None:
            watcher.closed(router.close_reason)


@contextmanager
def unless_gone(consumer_id: str) -> Iterator[None]:
    """What is asked of a consumer. It closes with its producer, in the worker first, and we hear of it a moment later:
    until then the worker's refusal is all that says so, and it is ConsumerNotFound here."""
    try:
        yield
    except NotFound as error:
        raise ConsumerNotFound(consumer_id) from error


def _retry_key(request: ProduceRequest) -> RetryKey:
    encodings = request.rtp_parameters.encodings
    stream = (encodings[0].ssrc or encodings[0].rid) if encodings else None
    return request.transport_id, request.kind, request.rtp_parameters.mid, stream
