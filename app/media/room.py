"""A call's media side: one router, and each party's transports, producers and consumers.

Decides who may do what to which object; knows no HTTP, no money and no state of the call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, MutableMapping
from contextlib import suppress

from app.clock import at_worker_time, now
from app.errors import (
    AlreadyResumed,
    ConsumerNotFound,
    Forbidden,
    InvalidCallState,
    ProducerAlreadyExists,
    ProducerNotFound,
    TransportLimitExceeded,
    TransportNotFound,
    WorkerUnavailable,
)
from app.media import asked
from app.media.booth import Booth
from app.media.microphones import Microphones
from app.media.offers import Offer
from app.media.party_objects import (
    PartyConsumer,
    PartyProducer,
    PartySide,
    PartyTransport,
    Released,
    RoomLimits,
    unless_gone,
)
from app.media.retries import means_the_same, retry_key
from app.media.seats import PartySeat, Seat
from app.media.watcher import RoomWatcher
from app.person import Parties, Person
from schemas.consumer import ConsumeRequest
from schemas.own_media import Direction
from schemas.producer import ProduceRequest
from schemas.signaling import PauseReason, ProducerChange, ProducerSource
from schemas.types import PartyRole
from worker_bridge.channel import Body, Channel
from worker_bridge.connectivity import DtlsParameters, IceParameters
from worker_bridge.consumer import Consumer
from worker_bridge.errors import BridgeError
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.transport import Transport
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.webrtc_transport import WebRtcTransport


class Room:
    """``watcher`` is told of everything that happens after it is set."""

    watcher: RoomWatcher | None = None
    _left: asyncio.Event | None = None  # where somebody waits for that

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
        epoch: int = 1,
        clock: Callable[[], float] = time.monotonic,
        *,
        hears_itself: bool = False,
    ) -> None:
        """``index`` finds the room by the id of anything in it; ``channel`` and ``worker_index`` are its worker's;
        ``epoch`` numbers the rooms of its call. A party that ``hears_itself`` may consume its own producer."""
        self.call_id = call_id
        self.router = router
        self.channel = channel
        self.worker_index = worker_index
        self.epoch = epoch
        self.microphones = Microphones(router)
        self.transports: dict[str, PartyTransport] = {}
        self.producers: dict[str, PartyProducer] = {}
        self.consumers: dict[str, PartyConsumer] = {}
        self.offers: dict[str, Offer] = {}  # by producer id
        self.offer_consumers: dict[str, PartyConsumer] = {}  # of what is offered
        self.booths: dict[str, Booth] = {}  # of admins who supervise the call, by their ids
        self.seats_to_come = False  # whether it is not known yet who supervises it
        self.held = False  # whether neither party hears the other
        self.has_paused = False  # whether a producer is paused, or was
        self.parties = parties
        self._sides: dict[PartyRole, PartySide] = {"user": PartySide(), "otomo": PartySide()}
        self._webrtc_server = webrtc_server
        self._limits = limits
        self._index = index
        self._clock = clock
        self._hears_itself = hears_itself
        # Bound once for all producers, which saves each two method objects; dropped when the router closes.
        self._on_producer_closed = self._producer_closed
        self._on_first_packet = self._first_packet
        router.on_closed(self._router_closed)

    def __repr__(self) -> str:
        return f"<Room {self.call_id} on {self.router!r}>"

    def role_of(self, person: Person) -> PartyRole:
        """The person's role in this room. Raises Forbidden for strangers and admins."""
        role = self.parties.role_of(person)
        if role is None:
            raise Forbidden(f"{person} is no party of call {self.call_id}")
        return role

    def seat(self, person: Person) -> Seat:
        """Where somebody sits whose requests are about this room.

        Raises Forbidden for strangers; WorkerUnavailable for an admin where the room is too new for that to be known.
        """
        if person.role != "admin":
            return PartySeat(self, self.role_of(person))
        booth = self.booths.get(person.id)
        if booth is None and self.seats_to_come:
            raise WorkerUnavailable(f"it is not known yet who supervises {self.call_id}")
        if booth is None:
            raise Forbidden(f"{person} does not supervise call {self.call_id}")
        return booth

    def open_booth(self, admin_id: str, audience: Collection[PartyRole]) -> Booth:
        """Let an admin hear both parties, and be heard by ``audience``."""
        booth = self.booths[admin_id] = Booth(self, self._webrtc_server, self._index, audience, self._clock)
        return booth

    def close_booth(self, admin_id: str) -> None:
        """Close all that the admin has in the room."""
        booth = self.booths.pop(admin_id, None)
        if booth is not None:
            booth.close()

    async def left(self) -> None:
        """Returns when no transport is open in it any more."""
        if self.transports:
            self._left = asyncio.Event()
            await self._left.wait()

    def close(self) -> Released:
        """Close everything in it, at once."""
        consumers = len(self.consumers) + len(self.offer_consumers)
        released = Released(len(self.transports), len(self.producers), consumers)
        self.router.close()
        return released

    # transports

    async def create_transport(self, party: PartyRole, direction: Direction) -> WebRtcTransport:
        """Open a transport. Dead ones of that direction close, and so does the oldest where there are too many.

        Raises TransportLimitExceeded where too many were opened in a short time.
        """
        side = self._sides[party]
        async with side.lock:
            if not side.may_open(direction, self._clock()):
                raise TransportLimitExceeded(f"the {party} opens {direction} transports without end in {self.call_id}")
            transport = await self.router.create_webrtc_transport(self._webrtc_server, prefer_udp=True)
            for replaced in self._replaced(party, direction):
                replaced.transport.close()
            self.transports[transport.id] = PartyTransport(transport, direction, party=party)
            self._index[transport.id] = self
            transport.on_closed(self._transport_closed)
        if self.watcher is not None:
            self.watcher.set_up()
        if direction == "recv":
            if side.has_received:  # a page that was reloaded knows of nothing
                for offer in self.offers.values():
                    if party in offer.to:
                        self._tell_of(offer, "producer_added", (party,))
            side.has_received = True
        return transport

    def _replaced(self, party: PartyRole, direction: Direction) -> list[PartyTransport]:
        """The transports of that direction that a new one replaces: the dead ones, and of the others the oldest."""
        there = [one for one in self.transports.values() if (one.party, one.direction) == (party, direction)]
        alive = [one for one in there if not one.dead]
        too_many = alive[: max(0, len(alive) + 1 - self._limits.transports_per_direction)]
        return [one for one in there if one.dead or one in too_many]

    async def connect(self, party: PartyRole, transport_id: str, dtls_parameters: DtlsParameters) -> None:
        await self.transport_of(party, transport_id).connect(dtls_parameters)

    async def restart_ice(self, party: PartyRole, transport_id: str) -> IceParameters:
        return await self.transport_of(party, transport_id).transport.restart_ice()

    def close_transport(self, party: PartyRole, transport_id: str) -> None:
        self.transport_of(party, transport_id).transport.close()

    def transport_of(self, party: PartyRole, transport_id: str, direction: Direction | None = None) -> PartyTransport:
        """The party's own transport. Raises TransportNotFound for any other, and for one of the other direction."""
        found = self.transports.get(transport_id)
        if found is None or found.party != party or direction not in (None, found.direction):
            raise TransportNotFound(transport_id, which=direction)
        return found

    # producers

    async def produce(self, party: PartyRole, request: ProduceRequest) -> Producer:
        """A new producer, or the one that an equal request has made. Raises ProducerAlreadyExists for one too many."""
        mine = self._sides[party]
        async with mine.lock:
            sender = self.transport_of(party, request.transport_id, "send")
            key = retry_key(request)
            before = mine.producers.get(key)
            if before is not None and means_the_same(before.requested, request.rtp_parameters):
                return before.producer
            if mine.sending[request.kind] >= self._limits.producers_per_party:
                raise ProducerAlreadyExists(f"{party} sends {request.kind} in {self.call_id}")
            producer = await asked.produce(sender.transport, request, paused=mine.flooded, traced=True)
            producer.on_trace(self._on_first_packet)  # the worker traces RTP until the first packet has come
            owned = PartyProducer(producer, party, request.rtp_parameters, key, self._clock())
            if mine.flooded:  # until counts show that it does not
                self.has_paused = True
                owned.flooding_since = owned.since
            mine.producers[key] = self.producers[producer.id] = owned
            mine.sending[request.kind] += 1
            self._index[producer.id] = self
            producer.on_closed(self._on_producer_closed)
        self._notify_watcher("producer_added", party, producer)
        if producer.paused:
            self._notify_watcher("producer_paused", party, producer, "flood")
        if self.held:
            self.tell_held(owned)
        return producer

    async def set_producer_paused(self, party: PartyRole, producer_id: str, paused: bool) -> None:
        """Mute or unmute at the server; a second time changes nothing. Raises InvalidCallState while it floods."""
        async with self._sides[party].lock:
            owned = self.producer_of(party, producer_id)
            producer = owned.producer
            if not paused and owned.flooding_since is not None:
                raise InvalidCallState(f"{producer_id} is flooding")
            owned.muted = paused
            if producer.paused == paused:
                return
            self.has_paused = True
            await (producer.pause() if paused else producer.resume())
        self._notify_watcher("producer_paused" if paused else "producer_resumed", party, producer)

    async def stop_flood(self, owned: PartyProducer) -> None:
        """Pause a producer that receives too many packets, and have both parties told."""
        side = self._sides[owned.party]
        side.flooded = True
        async with side.lock:
            if owned.producer.paused or owned.producer.closed:
                return
            self.has_paused = True
            with suppress(BridgeError):  # it closed meanwhile, and with it the flood
                await owned.producer.pause()
        self._notify_watcher("producer_paused", owned.party, owned.producer, "flood")

    def close_producer(self, party: PartyRole, producer_id: str) -> None:
        self.producer_of(party, producer_id).producer.close()

    def producer_of(self, party: PartyRole, producer_id: str) -> PartyProducer:
        found = self.producers.get(producer_id)
        if found is None or found.party != party:
            raise ProducerNotFound(producer_id)
        return found

    def is_muted(self, party: PartyRole) -> bool:
        """Whether the party sends, and has paused all that it sends."""
        muted = [owned.muted for owned in self.producers.values() if owned.party == party]
        return bool(muted) and all(muted)

    def listeners(self, owned: PartyProducer) -> int:
        """How many consumers the producer's packets are forwarded to now."""
        producer_id, found = owned.producer.id, 0
        for one in self.consumers.values():  # a plain loop, because every sweep runs it for every producer
            if one.consumer.producer_id == producer_id and not one.consumer.paused:
                found += 1
        return found

    # consumers

    async def consume(self, party: PartyRole, request: ConsumeRequest) -> Consumer:
        """Consume the other party's producer, or what is offered, on the party's own receive transport; paused until it
        is resumed.

        The same request again returns the same consumer; one with other capabilities replaces it. Raises
        ProducerNotFound for what the party may not hear, CannotConsume where no codec matches.
        """
        mine = self._sides[party]
        async with mine.lock:
            receiver = self.transport_of(party, request.transport_id, "recv").transport
            among = self._heard_by(party, request.producer_id)
            capabilities = request.rtp_capabilities or self.router.rtp_capabilities
            key = (receiver.id, request.producer_id)
            before = mine.consumers.get(key)
            if before is not None and before.capabilities == capabilities:
                return before.consumer
            replaced = None if before is None else before.consumer
            consumer = await asked.consume(self.router, receiver, request.producer_id, capabilities, replaced)
            owned = PartyConsumer(consumer, party, capabilities, receiver.id)
            mine.consumers[key] = among[consumer.id] = owned
            self._index[consumer.id] = self
            consumer.on_closed(self._consumer_closed)
            return consumer

    async def resume_consumer(self, party: PartyRole, consumer_id: str) -> None:
        async with self._sides[party].lock:
            owned = self.consumer_of(party, consumer_id)
            if owned.wanted:
                raise AlreadyResumed(consumer_id)
            if not self.is_held(consumer_id):
                with unless_gone(consumer_id):
                    await owned.consumer.resume()
            owned.wanted = True

    async def pause_consumer(self, party: PartyRole, consumer_id: str) -> None:
        async with self._sides[party].lock:
            owned = self.consumer_of(party, consumer_id)
            owned.wanted = False
            if not owned.consumer.paused:
                with unless_gone(consumer_id):
                    await owned.consumer.pause()

    def consumer_of(self, party: PartyRole, consumer_id: str) -> PartyConsumer:
        found = self.consumers.get(consumer_id) or self.offer_consumers.get(consumer_id)
        if found is None or found.party != party:
            raise ConsumerNotFound(consumer_id)
        return found

    def receives(self, owned: PartyConsumer) -> bool:
        """Whether the consumer's packets can reach its party."""
        receiver = self.transports.get(owned.transport_id)
        return not owned.consumer.paused and receiver is not None and receiver.transport.connected

    # hold

    async def set_held(self, *, held: bool) -> None:
        """Have neither party hear the other, whatever they resume; or let them hear again what they want to. What is
        offered is heard all the same. Each is told that the other one is paused."""
        if self.held != held:
            self.held = held
            for owned in tuple(self.producers.values()):
                self.tell_held(owned)
        for party, side in self._sides.items():
            async with side.lock:
                for listening in tuple(self.consumers.values()):
                    if listening.wanted and listening.party == party:
                        with suppress(BridgeError):  # it has closed
                            await (listening.consumer.pause() if self.held else listening.consumer.resume())

    def tell_held(self, owned: PartyProducer) -> None:
        """Tell that a producer is not heard while the call is on hold, or is again."""
        if not owned.producer.paused:
            change: ProducerChange = "producer_paused" if self.held else "producer_resumed"
            self._notify_watcher(change, owned.party, owned.producer, "hold")

    def is_held(self, consumer_id: str) -> bool:
        """Whether a consumer is of a party that is not heard now, because the call is on hold."""
        return self.held and consumer_id in self.consumers

    # what is offered

    def offer(self, producer: Producer, source: ProducerSource, to: Collection[PartyRole]) -> Offer:
        """Let parties consume a producer of nobody's in this room's router, until it closes. They are told."""
        made = self.offers[producer.id] = Offer(producer, source, frozenset(to))
        self._index[producer.id] = self
        producer.on_closed(self._offer_closed)
        self._tell_of(made, "producer_added", made.to)
        return made

    def readdress(self, offer: Offer, to: Collection[PartyRole]) -> None:
        """Change who may hear it. Those who may not any more don't from now on; all whom it concerns are told."""
        before, offer.to = offer.to, frozenset(to)
        for one in list(self.offer_consumers.values()):
            if one.consumer.producer_id == offer.producer.id and one.party not in offer.to:
                one.consumer.close()
        self._tell_of(offer, "producer_removed", before - offer.to)
        self._tell_of(offer, "producer_added", offer.to - before)

    # counts

    def heard_while_paused(self, owned: PartyProducer) -> None:
        """Report a paused producer's first packet, which was counted: the worker traces none of a paused producer."""
        if self.watcher is not None:
            self.watcher.first_packet(owned.party, owned.producer, now())

    # inside

    def _first_packet(self, producer: Producer, _: str, trace: Body) -> None:
        producer.stop_tracing()
        moment = at_worker_time(trace["timestamp"])
        owned = self.producers.get(producer.id)
        if owned is not None:
            owned.last_rtp = moment.monotonic
        if owned is not None and self.watcher is not None:
            self.watcher.first_packet(owned.party, producer, moment)

    def _notify_watcher(
        self, change: ProducerChange, party: PartyRole, producer: Producer, reason: PauseReason | None = None
    ) -> None:
        if self.watcher is not None:
            self.watcher.producer_changed(change, party, producer, reason)

    def _heard_by(self, party: PartyRole, producer_id: str) -> dict[str, PartyConsumer]:
        """Where the party's consumers of that producer are kept. Raises ProducerNotFound where it may not hear it."""
        offer = self.offers.get(producer_id)
        if offer is not None and party in offer.to:
            return self.offer_consumers
        owned = self.producers.get(producer_id)
        if owned is None or (owned.party == party and not self._hears_itself):
            raise ProducerNotFound(producer_id)
        return self.consumers

    def _tell_of(self, offer: Offer, change: ProducerChange, told: Collection[PartyRole]) -> None:
        if self.watcher is not None and told:
            self.watcher.offer_changed(change, offer, told)

    def _offer_closed(self, producer: Producer) -> None:
        offer = self.offers.pop(producer.id)
        self._index.pop(producer.id, None)
        if not self.router.closed:
            self._tell_of(offer, "producer_removed", offer.to)

    def _transport_closed(self, transport: Transport) -> None:
        self.transports.pop(transport.id, None)
        if self._left is not None and not self.transports:
            self._left.set()
        self._index.pop(transport.id, None)

    def _producer_closed(self, producer: Producer) -> None:
        owned = self.producers.pop(producer.id)
        mine = self._sides[owned.party]
        self._index.pop(producer.id, None)
        mine.producers.pop(owned.key, None)
        mine.sending[producer.kind] -= 1
        if not self.router.closed:
            self._notify_watcher("producer_removed", owned.party, producer)

    def _consumer_closed(self, consumer: Consumer) -> None:
        owned = self.consumers.pop(consumer.id, None) or self.offer_consumers.pop(consumer.id)
        self._index.pop(consumer.id, None)
        self._sides[owned.party].consumers.pop((owned.transport_id, consumer.producer_id), None)

    def _router_closed(self, router: Router) -> None:
        del self._on_producer_closed, self._on_first_packet
        self.booths.clear()  # they refer to the room
        watcher, self.watcher = self.watcher, None  # it refers to the call, and the call to us
        if watcher is not None and router.close_reason is not None:
            watcher.closed(router.close_reason)
