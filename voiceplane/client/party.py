"""One party of a call, played by pymediasoup through REST alone: it sends a tone and listens. Knows no server code.

A party owns its transports, its tone and the tasks that listen; leaving `Party.joined` closes all of them, whatever
happened inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, cast

from aiortc import RTCIceServer
from pymediasoup import Device
from pymediasoup.consumer import Consumer
from pymediasoup.models.transport import DtlsParameters, IceCandidate, IceParameters
from pymediasoup.rtp_parameters import RtpCapabilities, RtpParameters
from pymediasoup.transport import Transport

from schemas.own_media import Direction
from voiceplane.client.api import Api
from voiceplane.client.errors import NoMedia
from voiceplane.client.handler import DtlsRole, PartyHandler
from voiceplane.client.tone import Tone, ToneReceiver

FIRST_SOUND_TIMEOUT_S = 15.0  # ICE, DTLS and the first frames


class Voice:
    """What this party sends: its producer, and when the server knew of it (the loop's clock, seconds)."""

    def __init__(self, producer_id: str, tone: Tone, produced_at: float) -> None:
        self.producer_id = producer_id
        self.tone = tone
        self.produced_at = produced_at


class Hearing:
    """What this party receives from one producer."""

    def __init__(self, consumer_id: str, receiver: ToneReceiver, handler: PartyHandler) -> None:
        self.consumer_id = consumer_id
        self.receiver = receiver
        self._handler = handler

    async def heard(self, frames: int, within_s: float = FIRST_SOUND_TIMEOUT_S) -> None:
        """Wait until `frames` frames have arrived since the beginning.

        Raises NoMedia where they do not within `within_s` seconds.
        """
        try:
            async with asyncio.timeout(within_s):
                await self.receiver.heard(frames)
        except TimeoutError as error:
            arrived = f"{self.receiver.frames} of {frames} audio frames arrived within {within_s:g} s"
            raise NoMedia(f"{arrived} ({self._handler.state()})") from error

    async def packets_lost(self) -> int:
        """RTP packets missing so far, by their sequence numbers."""
        return await self._handler.packets_lost()


class Party:
    """Made by `joined`; `send` and `receive` may each be used once, in any order."""

    def __init__(self, api: Api, call_id: str, dtls_role: DtlsRole | None, stack: AsyncExitStack) -> None:
        self.api = api
        self.call_id = call_id
        self._stack = stack
        self._handlers: list[PartyHandler] = []
        self._device = Device(handlerFactory=lambda: PartyHandler(dtls_role))  # type: ignore[no-untyped-call]
        self._tone: Tone | None = None

    @classmethod
    @asynccontextmanager
    async def joined(cls, api: Api, call_id: str, *, dtls_role: DtlsRole | None = None) -> AsyncIterator[Self]:
        """Load the server's capabilities (RTC-01) and live until the block is left.

        :param api: the REST client with this party's token.
        :param call_id: a call that this party belongs to, with its room open.
        :param dtls_role: our side of every DTLS handshake; None leaves it to pymediasoup (server where it sends, client
            where it receives).
        """
        async with AsyncExitStack() as stack:
            party = cls(api, call_id, dtls_role, stack)
            await party._device.load(RtpCapabilities.model_validate(await api.capabilities()))
            yield party

    async def send(self, hz: float) -> Voice:
        """Send a tone: RTC-02, RTC-03, RTC-04. Returns once the server knows the producer."""
        transport = await self._open_transport("send")
        tone = self._tone = Tone(hz)
        self._stack.callback(tone.stop)

        async def on_produce(kind: str, rtp_parameters: RtpParameters, _: object) -> str:
            wire = rtp_parameters.model_dump(mode="json", exclude_none=True)
            return await self.api.produce(self.call_id, transport.id, kind, wire)

        transport.on("produce", on_produce)
        producer = await transport.produce(track=tone)
        return Voice(producer.id, tone, asyncio.get_running_loop().time())

    async def receive(self, producer_id: str) -> Hearing:
        """Listen to a producer: RTC-02, RTC-05, RTC-03, RTC-06. Returns once the consumer is resumed."""
        transport = await self._open_transport("recv")
        capabilities = self._device.recvRtpCapabilities
        answer = await self.api.consume(
            self.call_id,
            transport.id,
            producer_id,
            capabilities.model_dump(mode="json", exclude_none=True) if capabilities else None,
        )
        consumer: Consumer = await transport.consume(
            id=answer.consumer_id,
            producerId=answer.producer_id,
            kind=answer.kind,
            rtpParameters=RtpParameters.model_validate(answer.rtp_parameters),
        )
        receiver = ToneReceiver()
        if consumer.track is not None:
            task = asyncio.create_task(receiver.listen(consumer.track), name=f"receiver of {answer.consumer_id}")
            self._stack.push_async_callback(_cancelled, task)
        await self.api.resume_consumer(answer.consumer_id)
        return Hearing(answer.consumer_id, receiver, self._handlers[-1])

    def stop_sending(self) -> None:
        """End the tone: no RTP leaves any more, while the transport stays connected."""
        if self._tone is not None:
            self._tone.stop()

    def vanish(self) -> None:
        """Stop existing for the network: no DTLS close, no RTCP BYE, no further packet of any kind."""
        for handler in self._handlers:
            handler.fall_silent()

    def states(self) -> list[str]:
        """How far each transport got, in the order of their making, as in "ICE completed, DTLS connected"."""
        return [handler.state() for handler in self._handlers]

    def dtls_roles(self) -> list[str]:
        """Our side of each transport's handshake, in the order of their making: "client" or "server"."""
        return [role for handler in self._handlers for role in handler.dtls_roles()]

    async def _open_transport(self, direction: Direction) -> Transport:
        answer = await self.api.create_transport(self.call_id, direction)
        create = self._device.createSendTransport if direction == "send" else self._device.createRecvTransport
        transport = create(
            id=answer.transport_id,
            iceParameters=IceParameters.model_validate(answer.ice_parameters),
            iceCandidates=[IceCandidate.model_validate(candidate) for candidate in answer.ice_candidates],
            dtlsParameters=DtlsParameters.model_validate(answer.dtls_parameters),
            sctpParameters=None,
            iceServers=[RTCIceServer(**server) for server in answer.ice_servers],
        )
        self._stack.push_async_callback(transport.close)
        handler = cast(PartyHandler, transport.handler)  # what the device's factory makes
        self._handlers.append(handler)

        async def on_connect(dtls_parameters: DtlsParameters) -> None:
            await self.api.connect_transport(answer.transport_id, dtls_parameters.model_dump(mode="json"))

        transport.on("connect", lambda _: None)  # a transport insists on a listener; the work is done in the handler's
        handler.on("@connect", on_connect)
        return transport


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
