"""What an admin has in the room of a call that they supervise: their transports, what they say, and consumers of both
parties. It is beside the room's own objects, so that nobody's clock, quality or flags know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import (
    AlreadyResumed,
    BadRequest,
    ConsumerNotFound,
    ProducerAlreadyExists,
    ProducerNotFound,
    TransportLimitExceeded,
    TransportNotFound,
)
from app.media import asked
from app.media.offers import Offer
from app.media.party_objects import OpenTransport, PartySide, RetryKey, unless_gone
from app.media.retries import means_the_same, retry_key
from schemas.consumer import ConsumeRequest
from schemas.own_media import Direction
from schemas.producer import ProduceRequest
from schemas.types import PartyRole
from worker_bridge.connectivity import DtlsParameters, IceParameters
from worker_bridge.consumer import Consumer
from worker_bridge.producer import Producer
from worker_bridge.rtp import RtpCapabilities, RtpParameters
from worker_bridge.transport import Transport
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.webrtc_transport import WebRtcTransport

if TYPE_CHECKING:  # a room opens the booths in it
    from app.media.room import Room


@dataclass(slots=True, eq=False)
class BoothProducer:
    """What the admin says, the request that made it, and who hears it."""

    producer: Producer
    requested: RtpParameters
    key: RetryKey
    offer: Offer


@dataclass(slots=True, eq=False)
class BoothConsumer:
    consumer: Consumer
    capabilities: RtpCapabilities
    transport_id: str


class Booth:
    """Made by ``Room.open_booth``. Closes with its room."""

    def __init__(
        self,
        room: Room,
        webrtc_server: WebRtcServer,
        index: MutableMapping[str, Room],
        audience: Collection[PartyRole],
        clock: Callable[[], float],
    ) -> None:
        self.transports: dict[str, OpenTransport] = {}
        self.producers: dict[str, BoothProducer] = {}
        self.consumers: dict[str, BoothConsumer] = {}
        self._room = room
        self._webrtc_server = webrtc_server
        self._index = index
        self._audience = frozenset(audience)
        self._clock = clock
        self._side = PartySide()

    @property
    def present(self) -> bool:
        """Whether the admin has a transport that is connected."""
        return any(one.transport.connected for one in self.transports.values())

    def address(self, audience: Collection[PartyRole]) -> None:
        """Let these hear what the admin says, from now on, and nobody else."""
        self._audience = frozenset(audience)
        for one in self.producers.values():
            self._room.readdress(one.offer, audience)

    def close(self) -> None:
        for one in list(self.transports.values()):
            one.transport.close()

    # transports

    async def create_transport(self, direction: Direction) -> WebRtcTransport:
        """Open a transport; the one before of that direction closes.

        Raises TransportLimitExceeded where too many were opened in a short time.
        """
        async with self._side.lock:
            if not self._side.may_open(direction, self._clock()):
                raise TransportLimitExceeded(f"a supervisor of {self._room.call_id} opens transports without end")
            transport = await self._room.router.create_webrtc_transport(self._webrtc_server, prefer_udp=True)
            for one in list(self.transports.values()):
                if one.direction == direction:
                    one.transport.close()
            self.transports[transport.id] = OpenTransport(transport, direction)
            self._index[transport.id] = self._room
            transport.on_closed(self._transport_closed)
            return transport

    async def connect(self, transport_id: str, dtls_parameters: DtlsParameters) -> None:
        await self._transport(transport_id).connect(dtls_parameters)

    async def restart_ice(self, transport_id: str) -> IceParameters:
        return await self._transport(transport_id).transport.restart_ice()

    def close_transport(self, transport_id: str) -> None:
        self._transport(transport_id).transport.close()

    # what the admin says

    async def produce(self, request: ProduceRequest) -> Producer:
        """A new producer, or the one that an equal request has made; those who may hear it are told.

        Raises ProducerAlreadyExists where there is one, BadRequest for anything but sound.
        """
        async with self._side.lock:
            sender = self._transport(request.transport_id, "send")
            key = retry_key(request)
            for before in self.producers.values():
                if before.key == key and means_the_same(before.requested, request.rtp_parameters):
                    return before.producer
                raise ProducerAlreadyExists(f"a supervisor speaks in {self._room.call_id} already")
            if request.kind != "audio":
                raise BadRequest.at("kind", "must be audio: a supervisor is heard, and not seen")
            producer = await asked.produce(sender.transport, request, paused=False)
            offer = self._room.offer(producer, "supervisor", self._audience)
            self.producers[producer.id] = BoothProducer(producer, request.rtp_parameters, key, offer)
            producer.on_closed(self._producer_closed)
            return producer

    async def set_producer_paused(self, producer_id: str, paused: bool) -> None:
        async with self._side.lock:
            producer = self._producer(producer_id)
            if producer.paused != paused:
                await (producer.pause() if paused else producer.resume())

    def close_producer(self, producer_id: str) -> None:
        self._producer(producer_id).close()

    # what the admin hears

    async def consume(self, request: ConsumeRequest) -> Consumer:
        """Consume a party's producer, paused until it is resumed. The same request again returns the same consumer.

        Raises ProducerNotFound for what is no party's, CannotConsume where no codec matches.
        """
        async with self._side.lock:
            receiver = self._transport(request.transport_id, "recv").transport
            if request.producer_id not in self._room.producers:
                raise ProducerNotFound(request.producer_id)
            capabilities = request.rtp_capabilities or self._room.router.rtp_capabilities
            before = self._consumer_on(receiver, request.producer_id)
            if before is not None and before.capabilities == capabilities:
                return before.consumer
            replaced = None if before is None else before.consumer
            consumer = await asked.consume(self._room.router, receiver, request.producer_id, capabilities, replaced)
            self.consumers[consumer.id] = BoothConsumer(consumer, capabilities, receiver.id)
            self._index[consumer.id] = self._room
            consumer.on_closed(self._consumer_closed)
            return consumer

    async def resume_consumer(self, consumer_id: str) -> None:
        async with self._side.lock:
            consumer = self._consumer(consumer_id)
            if not consumer.paused:
                raise AlreadyResumed(consumer_id)
            with unless_gone(consumer_id):
                await consumer.resume()

    async def pause_consumer(self, consumer_id: str) -> None:
        async with self._side.lock:
            consumer = self._consumer(consumer_id)
            if not consumer.paused:
                with unless_gone(consumer_id):
                    await consumer.pause()

    # inside

    def _transport(self, transport_id: str, direction: Direction | None = None) -> OpenTransport:
        found = self.transports.get(transport_id)
        if found is None or direction not in (None, found.direction):
            raise TransportNotFound(transport_id, which=direction)
        return found

    def _producer(self, producer_id: str) -> Producer:
        found = self.producers.get(producer_id)
        if found is None:
            raise ProducerNotFound(producer_id)
        return found.producer

    def _consumer(self, consumer_id: str) -> Consumer:
        found = self.consumers.get(consumer_id)
        if found is None:
            raise ConsumerNotFound(consumer_id)
        return found.consumer

    def _consumer_on(self, receiver: WebRtcTransport, producer_id: str) -> BoothConsumer | None:
        for one in self.consumers.values():
            if one.transport_id == receiver.id and one.consumer.producer_id == producer_id:
                return one
        return None

    def _transport_closed(self, transport: Transport) -> None:
        self.transports.pop(transport.id, None)
        self._index.pop(transport.id, None)

    def _producer_closed(self, producer: Producer) -> None:
        self.producers.pop(producer.id, None)

    def _consumer_closed(self, consumer: Consumer) -> None:
        self.consumers.pop(consumer.id, None)
        self._index.pop(consumer.id, None)
