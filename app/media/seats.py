"""Who may do what in a room, by request: a party on its own side, or an admin who supervises the call. Both sit in a
seat, which has what RTC-02 to RTC-06 ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from schemas.consumer import ConsumeRequest
from schemas.own_media import Direction
from schemas.producer import ProduceRequest
from schemas.types import PartyRole
from worker_bridge.connectivity import DtlsParameters, IceParameters
from worker_bridge.consumer import Consumer
from worker_bridge.producer import Producer
from worker_bridge.webrtc_transport import WebRtcTransport

if TYPE_CHECKING:  # a room gives the seats in it
    from app.media.room import Room


class Seat(Protocol):
    """The requests, about objects of whoever sits there; about any other's they are refused as if there were none."""

    async def create_transport(self, direction: Direction) -> WebRtcTransport: ...

    async def connect(self, transport_id: str, dtls_parameters: DtlsParameters) -> None: ...

    async def restart_ice(self, transport_id: str) -> IceParameters: ...

    def close_transport(self, transport_id: str) -> None: ...

    async def produce(self, request: ProduceRequest) -> Producer: ...

    async def set_producer_paused(self, producer_id: str, paused: bool) -> None: ...

    def close_producer(self, producer_id: str) -> None: ...

    async def consume(self, request: ConsumeRequest) -> Consumer: ...

    async def resume_consumer(self, consumer_id: str) -> None: ...

    async def pause_consumer(self, consumer_id: str) -> None: ...


class PartySeat:
    """A party's side of the room."""

    def __init__(self, room: Room, party: PartyRole) -> None:
        self._room = room
        self._party = party

    async def create_transport(self, direction: Direction) -> WebRtcTransport:
        return await self._room.create_transport(self._party, direction)

    async def connect(self, transport_id: str, dtls_parameters: DtlsParameters) -> None:
        await self._room.connect(self._party, transport_id, dtls_parameters)

    async def restart_ice(self, transport_id: str) -> IceParameters:
        return await self._room.restart_ice(self._party, transport_id)

    def close_transport(self, transport_id: str) -> None:
        self._room.close_transport(self._party, transport_id)

    async def produce(self, request: ProduceRequest) -> Producer:
        return await self._room.produce(self._party, request)

    async def set_producer_paused(self, producer_id: str, paused: bool) -> None:
        await self._room.set_producer_paused(self._party, producer_id, paused)

    def close_producer(self, producer_id: str) -> None:
        self._room.close_producer(self._party, producer_id)

    async def consume(self, request: ConsumeRequest) -> Consumer:
        return await self._room.consume(self._party, request)

    async def resume_consumer(self, consumer_id: str) -> None:
        await self._room.resume_consumer(self._party, consumer_id)

    async def pause_consumer(self, consumer_id: str) -> None:
        await self._room.pause_consumer(self._party, consumer_id)
