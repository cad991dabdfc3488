"""A room's media: transports that can hear each other's producers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import overload

from worker_bridge import ortc
from worker_bridge.channel import Body, Channel
from worker_bridge.checks import instance, items
from worker_bridge.connectivity import ListenInfo, SrtpCryptoSuite
from worker_bridge.connectivity_fbs import listen_info_to_fbs, transport_options_to_fbs
from worker_bridge.data_producer import DataProducer
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.dump_shapes import RouterDump
from worker_bridge.dumps import router_dump
from worker_bridge.errors import InvalidParameters, Misuse, NotFound
from worker_bridge.event_names import RouterEvent, names_of
from worker_bridge.pipe_transport import PipeTransport
from worker_bridge.piping import (
    LOOPBACK,
    PipedDataProducer,
    PipedProducer,
    PipeEnd,
    PipeOptions,
    PipePair,
    pipe_data_producer,
    pipe_producer,
)
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer
from worker_bridge.resource import AppData, Resource
from worker_bridge.rtp import RtpCapabilities, RtpCodecCapability
from worker_bridge.rtp_observer import ActiveSpeakerObserver, AudioLevelObserver, RtpObserver, audio_level_options
from worker_bridge.sctp import MESSAGE_SIZE, SctpOptions
from worker_bridge.transport import RouterContext, Transport
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.webrtc_transport import WebRtcTransport

INITIAL_OUTGOING_BITRATE = 600_000  # bits per second, until bandwidth estimation knows better
ICE_CONSENT_TIMEOUT_S = 30  # RFC 7675 §5.1

logger = logging.getLogger(__name__)


class Router(Resource[RouterEvent]):
    """Events: ``newtransport(transport)``, ``newrtpobserver(observer)``, ``workerclose()``, ``close(reason)``."""

    known_events = names_of(RouterEvent)
    resource_kind = "router"

    def __init__(self, router_id: str, channel: Channel, rtp_capabilities: RtpCapabilities) -> None:
        super().__init__(router_id, channel, "")
        self._context = RouterContext(router_id, rtp_capabilities)
        self._pipes: dict[str, PipePair] = {}  # by the other router's id

    @property
    def rtp_capabilities(self) -> RtpCapabilities:
        """What it routes: an endpoint compares its own with them before it sends."""
        return self._context.rtp_capabilities

    @property
    def producers(self) -> dict[str, Producer]:
        """Those that are open, by id."""
        return self._context.producers

    @property
    def data_producers(self) -> dict[str, DataProducer]:
        """Those that are open, by id."""
        return self._context.data_producers

    def update_media_codecs(self, media_codecs: Sequence[RtpCodecCapability]) -> None:
        """Route these codecs from now on; what is being sent already stays. As ``Worker.create_router``."""
        self._require_open()
        self._context.rtp_capabilities = ortc.router_capabilities(media_codecs)

    async def create_webrtc_transport(
        self,
        listen: WebRtcServer | Sequence[ListenInfo],
        *,
        enable_udp: bool = True,
        enable_tcp: bool = True,
        prefer_udp: bool = False,
        prefer_tcp: bool = False,
        ice_consent_timeout_s: int = ICE_CONSENT_TIMEOUT_S,
        initial_available_outgoing_bitrate: int = INITIAL_OUTGOING_BITRATE,
        sctp: SctpOptions | None = None,
        app_data: AppData | None = None,
    ) -> WebRtcTransport:
        """A transport on a server's shared port, or on sockets of its own; ``sctp`` for data channels.

        Which of a server's protocols are offered, and which comes first, say ``enable_`` and ``prefer_``; of its own
        sockets the list says that, its order included. ``ice_consent_timeout_s`` is how long the far end may be silent
        before ICE is ``disconnected``: the worker takes 10 to 60 of it, or 0 for never. Bitrates: bits per second.
        """
        self._require_open()
        transport = WebRtcTransport(self._channel.new_id(), self._channel, self._context)
        base = transport_options_to_fbs(
            sctp, initial_available_outgoing_bitrate=initial_available_outgoing_bitrate, is_data_channel=True
        )
        options = {
            "base": base,
            "enable_udp": enable_udp,
            "enable_tcp": enable_tcp,
            "prefer_udp": prefer_udp,
            "prefer_tcp": prefer_tcp,
            "ice_consent_timeout": ice_consent_timeout_s,
        }
        if isinstance(listen, WebRtcServer):
            options |= {"listen_type": "ListenServer", "listen": {"web_rtc_server_id": listen.id}}
            method = "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER"
            await self._create_transport(transport, method, options, app_data, carrier=listen)
            listen.handle_webrtc_transport(transport)
            return transport
        if not (enable_udp and enable_tcp) or prefer_udp or prefer_tcp:
            raise InvalidParameters("enable_ and prefer_ are for a server's transports: list what to listen on instead")
        options |= {"listen_type": "ListenIndividual", "listen": {"listen_infos": _listen_infos(listen)}}
        await self._create_transport(transport, "ROUTER_CREATE_WEBRTCTRANSPORT", options, app_data)
        return transport

    async def create_plain_transport(
        self,
        listen_info: ListenInfo,
        *,
        rtcp_listen_info: ListenInfo | None = None,
        rtcp_mux: bool = True,
        comedia: bool = False,
        srtp_crypto_suite: SrtpCryptoSuite | None = None,
        sctp: SctpOptions | None = None,
        app_data: AppData | None = None,
    ) -> PlainTransport:
        """A transport without ICE. ``comedia`` learns the peer's address from its first packet (RFC 4145 §4 in spirit);
        a crypto suite turns SRTP on; a socket for RTCP alone turns RTP and RTCP multiplexing (RFC 5761) off."""
        _require_udp("plain", listen_info, rtcp_listen_info)
        instance("rtcp_mux", rtcp_mux, bool)
        transport = PlainTransport(self._channel.new_id(), self._channel, self._context)
        options = {
            "base": transport_options_to_fbs(sctp),
            "listen_info": listen_info_to_fbs(listen_info),
            "rtcp_listen_info": None if rtcp_listen_info is None else listen_info_to_fbs(rtcp_listen_info),
            "rtcp_mux": rtcp_mux and rtcp_listen_info is None,
            "comedia": comedia,
            "enable_srtp": srtp_crypto_suite is not None,
            "srtp_crypto_suite": srtp_crypto_suite,
        }
        await self._create_transport(transport, "ROUTER_CREATE_PLAINTRANSPORT", options, app_data)
        return transport

    async def create_pipe_transport(
        self,
        listen_info: ListenInfo = LOOPBACK,
        *,
        enable_rtx: bool = False,
        enable_srtp: bool = False,
        sctp: SctpOptions | None = None,
        app_data: AppData | None = None,
    ) -> PipeTransport:
        """One end of a pipe, for a router on another machine, which needs an address that it can be reached at; on this
        one, ``pipe_to_router`` does it all. Both ends want the same: ``sctp`` for data, retransmissions, encryption."""
        _require_udp("pipe", listen_info)
        transport = PipeTransport(self._channel.new_id(), self._channel, self._context)
        options = {
            "base": transport_options_to_fbs(sctp),
            "listen_info": listen_info_to_fbs(listen_info),
            "enable_rtx": enable_rtx,
            "enable_srtp": enable_srtp,
        }
        await self._create_transport(transport, "ROUTER_CREATE_PIPETRANSPORT", options, app_data)
        return transport

    async def create_direct_transport(
        self,
        *,
        max_send_message_size: int = MESSAGE_SIZE,
        max_receive_message_size: int = MESSAGE_SIZE,
        app_data: AppData | None = None,
    ) -> DirectTransport:
        """A transport to this process. Sizes in bytes, as the worker sees it: of a message that it sends us, and of one
        that it gets from us."""
        transport = DirectTransport(self._channel.new_id(), self._channel, self._context)
        sizes = SctpOptions(max_send_message_size, max_receive_message_size)
        options = {"base": transport_options_to_fbs(sizes, direct=True)}
        await self._create_transport(transport, "ROUTER_CREATE_DIRECTTRANSPORT", options, app_data)
        return transport

    @overload
    async def pipe_to_router(
        self, router: Router, *, producer_id: str, keep_id: bool = True, options: PipeOptions | None = None
    ) -> PipedProducer: ...

    @overload
    async def pipe_to_router(
        self, router: Router, *, data_producer_id: str, keep_id: bool = True, options: PipeOptions | None = None
    ) -> PipedDataProducer: ...

    async def pipe_to_router(
        self,
        router: Router,
        *,
        producer_id: str | None = None,
        data_producer_id: str | None = None,
        keep_id: bool = True,
        options: PipeOptions | None = None,
    ) -> PipedProducer | PipedDataProducer:
        """Have a producer or data producer of ours in ``router``, too: of the same id with ``keep_id``, which needs two
        workers. It is paused and closed with ours; its end is not ours.

        The first call makes a pipe by ``options``; others between the two routers, either way, use it as it is. Raises
        NotFound where the producer is not there, or closes meanwhile.
        """
        self._require_open()
        instance("router", router, Router)
        instance("keep_id", keep_id, bool)
        options = PipeOptions() if options is None else options
        instance("options", options, PipeOptions)
        router._require_open()
        if router is self:
            raise InvalidParameters("router: a router can't be piped to itself")
        if keep_id and router._channel is self._channel:
            raise InvalidParameters("keep_id: both routers are in one worker, where an id is there but once")
        if (producer_id is None) is (data_producer_id is None):
            raise InvalidParameters("producer_id, data_producer_id: exactly one of them is needed")
        origin = self._origin(producer_id, data_producer_id)
        ours, theirs = PipeEnd(self.id, self._create_pipe_end), PipeEnd(router.id, router._create_pipe_end)
        ends = await self._pair_with(router).between(ours, theirs, options)
        if isinstance(origin, Producer):
            return await pipe_producer(ends, origin, keep_id=keep_id)
        return await pipe_data_producer(ends, origin, keep_id=keep_id)

    async def create_active_speaker_observer(
        self, *, interval_ms: int = 300, app_data: AppData | None = None
    ) -> ActiveSpeakerObserver:
        """Who speaks most, looked at every ``interval_ms`` (the worker takes 100 to 5000 of it)."""
        observer = ActiveSpeakerObserver(self._channel.new_id(), self._channel, self._context)
        options = {"interval": interval_ms}
        await self._create_observer(observer, "ROUTER_CREATE_ACTIVESPEAKEROBSERVER", options, app_data)
        return observer

    async def create_audio_level_observer(
        self,
        *,
        max_entries: int = 1,
        threshold: int = -80,
        interval_ms: int = 1000,
        app_data: AppData | None = None,
    ) -> AudioLevelObserver:
        """How loud the ``max_entries`` loudest producers are of those at ``threshold`` dBov (-127 to 0) or over, on
        average of ``interval_ms`` (the worker takes 250 to 5000 of it)."""
        options = audio_level_options(max_entries, threshold, interval_ms)
        observer = AudioLevelObserver(self._channel.new_id(), self._channel, self._context)
        await self._create_observer(observer, "ROUTER_CREATE_AUDIOLEVELOBSERVER", options, app_data)
        return observer

    def can_consume(self, producer_id: str, rtp_capabilities: RtpCapabilities) -> bool:
        """Whether an endpoint with these capabilities can receive that producer. Never raises."""
        producer = self.producers.get(producer_id) if isinstance(producer_id, str) else None
        if producer is None:
            return False
        try:
            return ortc.can_consume(producer.consumable_rtp_parameters, rtp_capabilities)
        except Misuse as error:
            logger.debug("%r: capabilities refused: %s", self, error)
            return False

    async def dump(self) -> RouterDump:
        """Ids of what it holds, and who consumes what: maps as dicts."""
        return router_dump(await self._request("ROUTER_DUMP"))

    async def _create_transport(
        self,
        transport: Transport,
        method: str,
        options: Body,
        app_data: AppData | None,
        carrier: WebRtcServer | None = None,
    ) -> None:
        body = {"transport_id": transport.id, "options": options}
        await self._create(transport, method, body, app_data=app_data, carrier=carrier)
        self._emit("newtransport", transport)

    async def _create_observer(
        self, observer: RtpObserver, method: str, options: Body, app_data: AppData | None
    ) -> None:
        body = {"rtp_observer_id": observer.id, "options": options}
        await self._create(observer, method, body, app_data=app_data)
        self._emit("newrtpobserver", observer)

    async def _create_pipe_end(self, options: PipeOptions) -> PipeTransport:
        return await self.create_pipe_transport(
            options.listen_info,
            enable_rtx=options.enable_rtx,
            enable_srtp=options.enable_srtp,
            sctp=options.sctp,
        )

    def _origin(self, producer_id: str | None, data_producer_id: str | None) -> Producer | DataProducer:
        """Either of the two, by the id that is given."""
        origin: Producer | DataProducer | None
        if producer_id is not None:
            instance("producer_id", producer_id, str)
            origin = self.producers.get(producer_id)
        else:
            instance("data_producer_id", data_producer_id, str)
            origin = self.data_producers.get(data_producer_id or "")
        if origin is None:
            raise NotFound("pipe_to_router", f"no {producer_id or data_producer_id} in router {self.id}")
        return origin

    def _pair_with(self, router: Router) -> PipePair:
        pair = self._pipes.get(router.id)
        if pair is None:
            pair = self._pipes[router.id] = router._pipes[self.id] = PipePair()
            self.remove_from_on_close(router._pipes)
            router.remove_from_on_close(self._pipes)
        return pair


def _listen_infos(listen: Sequence[ListenInfo]) -> list[Body]:
    infos = [listen_info_to_fbs(info) for info in items("listen", listen)]
    if not infos:
        raise InvalidParameters("a transport needs a server or something to listen on")
    return infos


def _require_udp(kind: str, *infos: ListenInfo | None) -> None:
    if any(info is not None and listen_info_to_fbs(info)["protocol"] != "UDP" for info in infos):
        raise InvalidParameters(f"a {kind} transport listens on udp only")
