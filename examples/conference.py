"""A room for mediasoup-client: everybody's microphones, cameras and data channels go to everybody else.

What this shows is the JSON between the two libraries: every message is an object of one browser, every value in it is
mediasoup's, by ``to_json`` and ``from_json``. Over what it travels is not known here: ``aiohttp_room.py`` and
``fastapi_room.py`` each bring a WebSocket, and ``conference.html`` is the other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from worker_bridge import (
    BridgeError,
    Consumer,
    ConsumerLayers,
    DataProducer,
    DtlsParameters,
    ListenInfo,
    Producer,
    ResourceClosed,
    Router,
    RtpCapabilities,
    RtpCodecCapability,
    RtpParameters,
    SctpOptions,
    SctpStreamParameters,
    WebRtcServer,
    WebRtcTransport,
    Worker,
    from_json,
    to_json,
)

PAGE = Path(__file__).with_name("conference.html")
CLIENT = "https://esm.sh/mediasoup-client@3"  # where the page has it from, unless told otherwise
LEFT_AFTER_S = 10  # without a sign of life
CODECS = (
    RtpCodecCapability("audio", "audio/opus", 48000, channels=2),
    RtpCodecCapability("video", "video/VP8", 90000),
    RtpCodecCapability("video", "video/VP9", 90000),
)

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[object]]


class Participant(Protocol):
    """Somebody who gets what others send. Each is awaited before the sender hears that it may begin."""

    async def consume(self, producer: Producer) -> None: ...

    async def consume_data(self, producer: DataProducer) -> None: ...


class Conference:
    """One router, and who is in it. ``echo`` sends everybody what is their own, too, for a look by oneself."""

    def __init__(self, worker: Worker, router: Router, server: WebRtcServer, *, echo: bool) -> None:
        self.worker = worker
        self.router = router
        self.server = server
        self.echo = echo
        self.members: set[Participant] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, media_ip: str, *, echo: bool = False) -> AsyncIterator[Conference]:
        """With a worker of its own, which listens on ``media_ip``."""
        async with Worker.running() as worker:
            server = await worker.create_webrtc_server([ListenInfo("udp", media_ip), ListenInfo("tcp", media_ip)])
            yield cls(worker, await worker.create_router(CODECS), server, echo=echo)

    async def visit(self, messages: AsyncIterable[Message], send: Send) -> None:
        """Serve one browser, until it sends nothing more: an answer to each message, under the message's own id."""
        outbox: asyncio.Queue[Message] = asyncio.Queue()
        writer = asyncio.create_task(write(outbox, send), name="writer")
        member = await Member.made(self, outbox.put_nowait)
        self.members.add(member)
        try:
            async for message in messages:
                try:
                    answer = {"data": await member.asked(message["method"], message.get("data"))}
                except (BridgeError, LookupError, TypeError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                outbox.put_nowait({"id": message["id"], **answer})
        finally:
            self.members.discard(member)
            member.close()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)  # a socket that is closed takes no more

    def others(self, member: Participant) -> list[Participant]:
        """Who gets what ``member`` sends."""
        return [one for one in self.members if one is not member or self.echo]


class Member:
    """One browser: a transport in each direction, as mediasoup-client wants them. ``tell`` sends it an event."""

    def __init__(
        self, conference: Conference, tell: Callable[[Message], None], up: WebRtcTransport, down: WebRtcTransport
    ) -> None:
        self._conference = conference
        self._tell = tell
        self._up, self._down = up, down
        self._capabilities: RtpCapabilities | None = None
        self._consumers: dict[str, Consumer] = {}

    @classmethod
    async def made(cls, conference: Conference, tell: Callable[[Message], None]) -> Member:
        router, server = conference.router, conference.server
        up, down = [
            await router.create_webrtc_transport(server, sctp=SctpOptions(), ice_consent_timeout_s=LEFT_AFTER_S)
            for _ in ("up", "down")
        ]
        return cls(conference, tell, up, down)

    def close(self) -> None:
        self._up.close()
        self._down.close()

    async def asked(self, method: str, data: Any) -> Any:
        """Raises BridgeError where a value is wrong, LookupError or TypeError where there is no such thing."""
        match method:
            case "join":
                capabilities = to_json(self._conference.router.rtp_capabilities)
                return {"rtpCapabilities": capabilities, "up": told(self._up), "down": told(self._down)}
            case "ready":
                await self._ready(from_json(RtpCapabilities, data))
            case "connect":
                transport = {one.id: one for one in (self._up, self._down)}[data["transportId"]]
                await transport.connect(from_json(DtlsParameters, data["dtlsParameters"]))
            case "produce":
                return await self._produce(data["kind"], from_json(RtpParameters, data["rtpParameters"]))
            case "produceData":
                return await self._produce_data(from_json(SctpStreamParameters, data["sctpStreamParameters"]), data)
            case "resume":
                await self._consumers[data["id"]].resume()
            case "layers":
                await self._consumers[data["id"]].set_preferred_layers(from_json(ConsumerLayers, data["layers"]))
            case _:
                raise LookupError(method)
        return None

    async def _ready(self, capabilities: RtpCapabilities) -> None:
        """It can receive: what there is comes now."""
        self._capabilities = capabilities
        for producer in list(self._conference.router.producers.values()):
            await self.consume(producer)
        for data_producer in list(self._conference.router.data_producers.values()):
            await self.consume_data(data_producer)

    async def _produce(self, kind: Literal["audio", "video"], parameters: RtpParameters) -> Message:
        producer = await self._up.produce(kind, parameters)
        for other in self._conference.others(self):
            with suppress(ResourceClosed):  # it is just leaving
                await other.consume(producer)
        return {"id": producer.id}

    async def _produce_data(self, stream: SctpStreamParameters, data: Message) -> Message:
        producer = await self._up.produce_data(stream, label=data["label"], protocol=data["protocol"])
        for other in self._conference.others(self):
            with suppress(ResourceClosed):
                await other.consume_data(producer)
        return {"id": producer.id}

    async def consume(self, producer: Producer) -> None:
        """Paused, until the browser says that it is ready: a key frame that comes too early is lost."""
        router = self._conference.router
        if self._capabilities is None or not router.can_consume(producer.id, self._capabilities):
            return
        consumer = await self._down.consume(producer.id, self._capabilities, paused=True)
        self._consumers[consumer.id] = consumer
        consumer.on_closed(lambda _: self._consumers.pop(consumer.id))
        consumer.events.on("layerschange", lambda layers: self._tell_layers(consumer, layers))
        parameters = to_json(consumer.rtp_parameters)
        data = {"id": consumer.id, "producerId": producer.id, "kind": consumer.kind, "rtpParameters": parameters}
        self._tell({"event": "consumer", "data": data})

    async def consume_data(self, producer: DataProducer) -> None:
        """A message comes as soon as it is sent: nothing has to be waited for."""
        if self._capabilities is None:
            return
        consumer = await self._down.consume_data(producer.id)
        data = {
            "id": consumer.id,
            "dataProducerId": producer.id,
            "label": producer.label,
            "protocol": producer.protocol,
        }
        if consumer.sctp_stream_parameters is not None:
            data["sctpStreamParameters"] = to_json(consumer.sctp_stream_parameters)
        self._tell({"event": "dataConsumer", "data": data})

    def _tell_layers(self, consumer: Consumer, layers: ConsumerLayers | None) -> None:
        """Which layers come, or that none does."""
        self._tell({"event": "layers", "data": {"id": consumer.id, "layers": to_json(layers) if layers else None}})


async def write(outbox: asyncio.Queue[Message], send: Send) -> None:
    """One writer keeps the order, and whoever tells something waits for nobody's network."""
    while True:
        await send(await outbox.get())


def told(transport: WebRtcTransport) -> Message:
    """What mediasoup-client's ``createSendTransport`` and ``createRecvTransport`` take."""
    return {
        "id": transport.id,
        "iceParameters": to_json(transport.ice_parameters),
        "iceCandidates": to_json(transport.ice_candidates),
        "dtlsParameters": to_json(transport.dtls_parameters),
        "sctpParameters": to_json(transport.sctp_parameters) if transport.sctp_parameters else None,
    }


def page(client: str = CLIENT) -> str:
    """The browser's side, with mediasoup-client from that URL."""
    return PAGE.read_text(encoding="utf-8").replace("CLIENT_URL", client)
