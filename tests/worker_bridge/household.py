"""Every kind of object on one worker, in every relation that the cascade knows: what closed, and why."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, VP8, camera, microphone
from worker_bridge.connectivity import ListenInfo
from worker_bridge.resource import CASCADE, CloseReason, Resource
from worker_bridge.router import Router
from worker_bridge.rtp import RtpEncodingParameters, RtpParameters
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.worker import Worker

Closed = dict[str, CloseReason]


def voice(ssrc: int) -> RtpParameters:
    """Opus on an SSRC of its own, without a mid, of which a transport takes each but once."""
    return replace(microphone(), encodings=(RtpEncodingParameters(ssrc=ssrc),), mid=None)


class Household:
    """Two routers and two servers. In the first router, caller and callee are on the first server's port, a gateway is
    on a port of its own; each hears another. The second router has a transport on the first server, too."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.members: dict[str, Resource] = {}
        self.parents: dict[str, set[str]] = {}
        self.closed: Closed = {}
        self.closings: list[tuple[str, CloseReason]] = []

    @classmethod
    async def on(cls, worker: Worker) -> Household:
        home = cls(worker)
        server = await home._server("server")
        await home._server("other server")
        router = await home._router("router")
        other_router = await home._router("other router")
        for name in ("caller", "callee"):
            home._add(name, await router.create_webrtc_transport(server), "router", "server")
        home._add("gateway", await router.create_plain_transport(LOOPBACK, comedia=True), "router")
        home._add("visitor", await other_router.create_webrtc_transport(server), "other router", "server")
        for number, name in enumerate(("caller", "callee", "gateway", "visitor"), start=1):
            await home._produce(name, f"{name}'s voice", number)
        producer = await home.members["caller"].produce("video", camera())  # type: ignore[attr-defined]
        home._add("caller's face", producer, "caller")
        for listener, heard in (
            ("caller", "callee's voice"),
            ("callee", "caller's voice"),
            ("gateway", "caller's voice"),
        ):
            await home._consume(listener, heard, router)
        await home._consume("callee", "caller's face", router)
        await home._consume("caller", "caller's voice", router)  # one's own echo
        home._add("recorder", await router.create_direct_transport(), "router")
        home._add("notes", await home.members["recorder"].produce_data(label="notes"), "recorder")  # type: ignore[attr-defined]
        reader = await home.members["recorder"].consume_data(home.members["notes"].id)  # type: ignore[attr-defined]
        home._add("reader", reader, "recorder", "notes")
        home._add("pipe", await router.create_pipe_transport(), "router")
        observer = await router.create_audio_level_observer()
        await observer.add_producer(home.members["caller's voice"].id)
        home._add("observer", observer, "router")
        return home

    def expected(self, name: str) -> Closed:
        """What the table says that closes with ``name``, and why. Owners come first: they close at once, while a
        producer's consumers hear of it from the worker."""
        closed = {name: CloseReason.REQUESTED}
        for reason, by_producers in ((CloseReason.OWNER_CLOSED, False), (CloseReason.PRODUCER_CLOSED, True)):
            while caught := self._caught(closed, by_producers=by_producers):
                closed.update(dict.fromkeys(caught, reason))
        return closed

    async def in_worker(self) -> set[str]:
        """Names of what the worker itself still has; ids that are nobody's, as they are."""
        dump = await self.worker.dump()
        names = {member.id: name for name, member in self.members.items()}
        ids = {
            *dump["router_ids"],
            *dump["web_rtc_server_ids"],
            *dump["channel_message_handlers"]["channel_request_handlers"],
        }
        return {names.get(one, one) for one in ids}

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, member in self.members.items() if member.resource_kind == kind]

    def _caught(self, closed: Closed, *, by_producers: bool) -> set[str]:
        """Who is open, and closes with something of ``closed`` that is, or is not, a producer."""
        return {
            name
            for name, parents in self.parents.items()
            for parent in parents & closed.keys()
            if name not in closed
            and self.members[name].resource_kind in CASCADE[self.members[parent].resource_kind].closes
            and (self.members[parent].resource_kind in ("producer", "data_producer")) is by_producers
        }

    def _add(self, name: str, member: Any, *parents: str) -> None:
        self.members[name] = member
        self.parents[name] = set(parents)

        def record(reason: CloseReason) -> None:
            assert member.closed, "state first, event second"
            self.closings.append((name, reason))
            self.closed[name] = member.close_reason

        member.events.on("close", record)

    async def _server(self, name: str) -> WebRtcServer:
        server = await self.worker.create_webrtc_server(
            [ListenInfo("udp", "127.0.0.1"), ListenInfo("tcp", "127.0.0.1")]
        )
        self._add(name, server)
        return server

    async def _router(self, name: str) -> Router:
        router = await self.worker.create_router([OPUS, VP8])
        self._add(name, router)
        return router

    async def _produce(self, transport: str, name: str, ssrc: int) -> None:
        producer = await self.members[transport].produce("audio", voice(ssrc))  # type: ignore[attr-defined]
        self._add(name, producer, transport)

    async def _consume(self, transport: str, producer: str, router: Router) -> None:
        consumer = await self.members[transport].consume(  # type: ignore[attr-defined]
            self.members[producer].id, router.rtp_capabilities
        )
        self._add(f"{transport} hears {producer}", consumer, transport, producer)
