"""One party's media in one room of a call, played by pymediasoup through REST alone: it sends a track, and receives
what it is told to.

Owns its transports; leaving `RoomMedia.joined`, or `close`, closes all of them, whatever happened inside. When the call
gets another room, the ids of this one are void: `following.py` makes another `RoomMedia` then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self, cast

from aiortc import MediaStreamTrack, RTCIceServer
from pymediasoup import Device
from pymediasoup.consumer import Consumer
from pymediasoup.models.transport import DtlsParameters, IceCandidate, IceParameters
from pymediasoup.rtp_parameters import RtpCapabilities, RtpParameters
from pymediasoup.transport import Transport

from schemas.own_media import Direction
from voiceplane.client.api import Api
from voiceplane.client.errors import NoMedia
from voiceplane.client.handler import DtlsRole, PartyHandler
from worker_bridge.rtp import MediaKind

BROKEN = frozenset({"failed", "disconnected", "closed"})


async def load_device(api: Api, dtls_role: DtlsRole | None = None) -> Device:
    """The capabilities of both sides (RTC-01). They are the same for every room of a server, and are kept.

    :param dtls_role: our side of every DTLS handshake; None leaves it to pymediasoup (server where it sends, client
        where it receives).
    Raises ClientError.
    """
    device = Device(handlerFactory=lambda: PartyHandler(dtls_role))  # type: ignore[no-untyped-call]
    await device.load(RtpCapabilities.model_validate(await api.capabilities()))
    return device


@dataclass(frozen=True, slots=True)
class Reception:
    """One consumer, resumed, and its track; `handler` knows how its transport is."""

    consumer_id: str
    track: MediaStreamTrack
    handler: PartyHandler


class RoomMedia:
    """`epoch` is the newest `mediaEpoch` that RTC-02 has told of. `broken` is called when ICE of a transport failed."""

    def __init__(self, api: Api, call_id: str, device: Device, broken: Callable[[], None] = lambda: None) -> None:
        self.api = api
        self.call_id = call_id
        self.epoch = 0
        self._device = device
        self._broken = broken
        self._transports: list[Transport] = []
        self._waiting: dict[Direction, Transport] = {}  # transports that are open, and have no producer or consumer yet
        self._receiving: Transport | None = None
        self._negotiating = asyncio.Lock()  # of the receiving transport: one description after the other
        self._ending: set[asyncio.Task[None]] = set()  # transports whose closing has begun

    @classmethod
    @asynccontextmanager
    async def joined(cls, api: Api, call_id: str, *, dtls_role: DtlsRole | None = None) -> AsyncIterator[Self]:
        """The media of a party whose call has its room open, until the block is left."""
        media = cls(api, call_id, await load_device(api, dtls_role))
        try:
            yield media
        finally:
            await media.close()

    async def open(self) -> None:
        """Have both transports made (RTC-02), at the same time. Raises ClientError."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._prepare("send"))
                both.create_task(self._prepare("recv"))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def close(self) -> None:
        """Close everything on this side, even where the caller is cancelled meanwhile."""
        while self._transports:
            self._end(self._transports.pop())
        if self._ending:
            await asyncio.shield(asyncio.wait(self._ending))

    async def send(self, track: MediaStreamTrack) -> str:
        """Send a track, which ends with the transport: RTC-02, RTC-03, RTC-04. Returns the id of the producer.

        Raises ClientError.
        """
        transport = await self._transport("send")

        async def on_produce(kind: MediaKind, rtp_parameters: RtpParameters, _: object) -> str:
            wire = rtp_parameters.model_dump(mode="json", exclude_none=True)
            return await self.api.produce(self.call_id, transport.id, kind, wire)

        transport.on("produce", on_produce)
        producer = await transport.produce(track=track)
        return str(producer.id)

    async def receive(self, producer_id: str) -> Reception:
        """Receive a producer, beside those that are received already: RTC-02 for the first, RTC-05, RTC-03, RTC-06.
        Returns once the consumer is resumed.

        Raises ClientError.
        """
        async with self._negotiating:
            if self._receiving is None:
                self._receiving = await self._transport("recv")
            transport = self._receiving
            capabilities = self._device.recvRtpCapabilities
            wire = capabilities.model_dump(mode="json", exclude_none=True) if capabilities else None
            answer = await self.api.consume(self.call_id, transport.id, producer_id, wire)
            consumer: Consumer = await transport.consume(
                id=answer.consumer_id,
                producerId=answer.producer_id,
                kind=answer.kind,
                rtpParameters=RtpParameters.model_validate(answer.rtp_parameters),
            )
        if consumer.track is None:
            raise NoMedia(f"nothing can be received of producer {producer_id}")
        await self.api.resume_consumer(answer.consumer_id)
        return Reception(answer.consumer_id, consumer.track, cast(PartyHandler, transport.handler))

    def vanish(self) -> None:
        """Send nothing any more: no DTLS close, no RTCP BYE, no packet of any kind."""
        for handler in self.handlers:
            handler.fall_silent()

    @property
    def handlers(self) -> tuple[PartyHandler, ...]:
        """The handler of each transport, in the order in which they were made."""
        return tuple(cast(PartyHandler, one.handler) for one in self._transports)  # what the device's factory makes

    async def stats(self) -> list[dict[str, Any]]:
        """aiortc's statistics of every transport, in W3C's names."""
        return [one for handler in self.handlers for one in await handler.stats()]

    def _end(self, transport: Transport) -> None:
        """Close a transport in a task of its own: where its closing is cancelled, sockets stay open for ever."""
        ending = asyncio.create_task(transport.close(), name=f"end of {transport.id}")  # type: ignore[no-untyped-call]
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _transport(self, direction: Direction) -> Transport:
        if direction not in self._waiting:
            await self._prepare(direction)
        return self._waiting.pop(direction)

    async def _prepare(self, direction: Direction) -> None:
        answer = await self.api.create_transport(self.call_id, direction)
        self.epoch = max(self.epoch, answer.media_epoch)
        create = self._device.createSendTransport if direction == "send" else self._device.createRecvTransport
        transport = create(
            id=answer.transport_id,
            iceParameters=IceParameters.model_validate(answer.ice_parameters),
            iceCandidates=[IceCandidate.model_validate(candidate) for candidate in answer.ice_candidates],
            dtlsParameters=DtlsParameters.model_validate(answer.dtls_parameters),
            sctpParameters=None,
            iceServers=[RTCIceServer(**server) for server in answer.ice_servers],
        )
        self._transports.append(transport)

        async def on_connect(dtls_parameters: DtlsParameters) -> None:
            await self.api.connect_transport(answer.transport_id, dtls_parameters.model_dump(mode="json"))

        transport.on("connect", lambda _: None)  # a transport insists on a listener; the handler's does the work
        transport.handler.on("@connect", on_connect)
        transport.on("connectionstatechange", self._note)  # nothing is told of one that we close
        self._waiting[direction] = transport

    def _note(self, state: str) -> None:
        if state in BROKEN:
            self._broken()
